//! Rules in one line, for tables of cases.

use pinfold_model::object::rbac::PolicyRule;

/// Rules from `verbs=get,list groups=,apps resources=pods names=a urls=/x; ...`. Without `verbs`, `get`; without `groups`, the core
/// group if there are resources; `-` is the empty list, and an empty value the list of the empty text. An empty line is no rule.
pub(crate) fn rules(line: &str) -> Vec<PolicyRule> {
    line.split(';').map(str::trim).filter(|rule| !rule.is_empty()).map(rule).collect()
}

fn rule(line: &str) -> PolicyRule {
    let field = |name: &str| {
        let found = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        found.map(|value| match value {
            "-" => Vec::new(),
            value => value.split(',').map(str::to_owned).collect(),
        })
    };
    for word in line.split(' ') {
        let known = ["verbs=", "groups=", "resources=", "names=", "urls="];
        assert!(known.iter().any(|name| word.starts_with(name)), "`{word}` in `{line}`");
    }
    let resources = field("resources");
    let core = resources.as_ref().map(|_| vec![String::new()]);
    PolicyRule {
        verbs: field("verbs").unwrap_or_else(|| vec!["get".to_owned()]),
        api_groups: field("groups").or(core).unwrap_or_default(),
        resources: resources.unwrap_or_default(),
        resource_names: field("names").unwrap_or_default(),
        non_resource_urls: field("urls").unwrap_or_default(),
    }
}

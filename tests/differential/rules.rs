//! Rules: drawn from a vocabulary small enough that they meet, or derived from what somebody holds so that they lie at the edge of it.

use serde_json::{Value, json};

use crate::random::Random;

/// One RBAC rule, as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) verbs: Vec<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) resources: Vec<String>,
    pub(crate) names: Vec<String>,
    pub(crate) urls: Vec<String>,
}

const PLAIN_VERBS: &[&str] = &["get", "list", "create", "delete"];
const ODD_VERBS: &[&str] = &["*", "watch", "GET", "bind", "escalate", "impersonate"];
const PLAIN_GROUPS: &[&str] = &["", "apps"];
const ODD_GROUPS: &[&str] = &["*", "batch", "rbac.authorization.k8s.io", "Apps"];
const PLAIN_RESOURCES: &[&str] = &["pods", "secrets", "deployments", "pods/exec"];
const ODD_RESOURCES: &[&str] = &[
    "*",
    "*/*",
    "*/exec",
    "*/scale",
    "pods/*",
    "pods/log",
    "deployments/scale",
    "/scale",
    "pods/a/b",
    "*/a/b",
    "*/b",
    "*/",
    "pods/",
    "Pods",
    "roles",
    "clusterroles",
    "po*",
];
const NAMES: &[&str] = &["a", "b", "c", "*", ""];
const URLS: &[&str] = &[
    "/healthz",
    "/healthz/",
    "/healthz/*",
    "/healthz/ping",
    "/api*",
    "/apis",
    "/api",
    "/*",
    "*",
    "/a**",
    "/ab",
    "/a*/b*",
    "/axx/bc",
    "/metrics",
    "**",
];

/// What an owner holds and what it wants to give, at the corners of the API server's comparison (research/admission.md C.1 and
/// `policy_comparator.go`). Words as [`Rule::parse`] reads them; `;` parts rules.
pub(crate) const CORNERS: &[(&str, &str)] = &[
    ("resources=*", "resources=pods/exec"),
    ("resources=*", "resources=*/scale"),
    ("resources=*/exec", "resources=pods/exec"),
    ("resources=*/a/b", "resources=pods/a/b"),
    ("resources=*/scale", "resources=/scale"),
    ("resources=*/", "resources=pods/"),
    ("resources=pods", "resources=pods/exec"),
    ("resources=pods/exec", "resources=pods"),
    ("resources=pods/*", "resources=pods/exec"),
    ("resources=*/*", "resources=pods/exec"),
    ("resources=*/*", "resources=*"),
    ("resources=*/*", "resources=pods/*"),
    ("resources=*/scale", "resources=*"),
    ("resources=*/scale", "resources=pods,*/scale"),
    ("resources=*/b", "resources=pods/a/b"),
    ("resources=po*", "resources=pods"),
    ("resources=pods", "resources=Pods"),
    ("resources=pods names=a", "resources=pods"),
    ("resources=pods names=*", "resources=pods names=a"),
    ("resources=pods names=", "resources=pods"),
    ("resources=pods", "resources=pods names="),
    ("resources=pods names=a,b", "resources=pods names=a"),
    ("resources=pods names=a; resources=pods names=b", "resources=pods names=a,b"),
    ("resources=pods names=a; resources=secrets names=b", "resources=pods,secrets names=a,b"),
    ("resources=pods", "resources=pods names=a"),
    (
        "verbs=get,list,watch,create,update,patch,delete,deletecollection resources=pods",
        "verbs=* resources=pods",
    ),
    ("verbs=GET resources=pods", "verbs=get resources=pods"),
    ("verbs=get resources=pods; verbs=list resources=pods", "verbs=get,list resources=pods"),
    ("verbs=get resources=pods", "verbs=get,list resources=pods,secrets"),
    (
        "verbs=get resources=pods; verbs=list resources=secrets",
        "verbs=get,list resources=pods,secrets",
    ),
    ("verbs=* resources=users", "verbs=impersonate resources=users"),
    ("groups= resources=pods", "groups=* resources=pods"),
    ("groups=* resources=pods", "groups= resources=pods"),
    ("groups=apps,batch resources=pods", "groups=batch,apps resources=pods"),
    ("groups=apps resources=pods; groups= resources=pods", "groups=apps, resources=pods"),
    ("groups=Apps resources=pods", "groups=apps resources=pods"),
    ("verbs=* groups=* resources=*", "urls=/healthz"),
    ("verbs=* urls=*", "resources=pods"),
    (
        "verbs=* groups=* resources=*; verbs=* urls=*",
        "verbs=* groups=* resources=*; verbs=* urls=*",
    ),
    (
        "verbs=* groups=* resources=*; verbs=get urls=*",
        "verbs=* groups=* resources=*; verbs=* urls=*",
    ),
    ("urls=/api*", "urls=/apis"),
    ("urls=*", "urls=/*"),
    ("urls=/a**", "urls=/ab"),
    ("urls=**", "urls=x"),
    ("urls=/healthz/*", "urls=/healthz"),
    ("urls=/healthz", "urls=/healthz/"),
    ("urls=/healthz/*", "urls=/healthz/*"),
    ("urls=/*", "urls=*"),
    ("urls=/a*/b*", "urls=/axx/bc"),
    ("urls=/a*/b*", "urls=/a*/bc"),
    ("urls=/healthz; verbs=post urls=/healthz", "verbs=get,post urls=/healthz"),
    ("urls=/healthz", "urls=/healthz,/metrics"),
    ("verbs=* urls=/healthz", "verbs=get,* urls=/healthz"),
    // What the API server lets by, and validation refuses afterwards.
    ("resources=pods", "verbs=- resources=secrets"),
    ("resources=pods", "groups=- resources=secrets"),
    ("resources=pods", "resources=-"),
    ("resources=pods", "verbs=-"),
    ("resources=pods", "resources=pods urls=/healthz"),
    ("urls=/healthz; resources=pods", "resources=pods urls=/healthz"),
    ("urls=/healthz; resources=pods", "resources=pods names=a urls=/healthz"),
    ("urls=/healthz", "resources=- groups=- names=a urls=/healthz"),
    ("resources=pods", ""),
];

impl Rule {
    /// Rules from `verbs=get groups= resources=pods names=a urls=/x; ...`. Without verbs `get`, without groups the core group if there are
    /// resources; `-` is the empty list.
    pub(crate) fn parse(text: &str) -> Vec<Self> {
        text.split(';').map(str::trim).filter(|rule| !rule.is_empty()).map(Self::one).collect()
    }

    fn one(text: &str) -> Self {
        let list = |name: &str| {
            let value = text.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            value.map(|value| {
                if value == "-" { Vec::new() } else { owned(&value.split(',').collect::<Vec<_>>()) }
            })
        };
        let resources = list("resources");
        let core = resources.as_ref().map(|_| owned(&[""]));
        Self {
            verbs: list("verbs").unwrap_or_else(|| owned(&["get"])),
            groups: list("groups").or(core).unwrap_or_default(),
            resources: resources.unwrap_or_default(),
            names: list("names").unwrap_or_default(),
            urls: list("urls").unwrap_or_default(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        let mut rule = json!({"verbs": self.verbs});
        let lists = [
            ("apiGroups", &self.groups),
            ("resources", &self.resources),
            ("resourceNames", &self.names),
            ("nonResourceURLs", &self.urls),
        ];
        for (field, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            if let Some(members) = rule.as_object_mut() {
                members.insert(field.to_owned(), json!(list));
            }
        }
        rule
    }

    /// Whether the API server stores it; URLs only where there is no namespace.
    pub(crate) fn is_storable(&self, namespaced: bool) -> bool {
        let resources = !self.groups.is_empty() && !self.resources.is_empty();
        let urls = self.groups.is_empty()
            && self.resources.is_empty()
            && self.names.is_empty()
            && !namespaced;
        !self.verbs.is_empty() && if self.urls.is_empty() { resources } else { urls }
    }

    /// Any rule that can be stored.
    pub(crate) fn draw(random: &mut Random, namespaced: bool) -> Self {
        if !namespaced && random.percent(20) {
            return Self {
                verbs: verbs(random),
                urls: listed(random, &[], URLS),
                ..Self::default()
            };
        }
        if random.percent(12) {
            return Self::about_rbac(random, &[]);
        }
        let names = if random.percent(30) { listed(random, &[], NAMES) } else { Vec::new() };
        Self {
            verbs: verbs(random),
            groups: listed(random, PLAIN_GROUPS, ODD_GROUPS),
            resources: listed(random, PLAIN_RESOURCES, ODD_RESOURCES),
            names,
            urls: Vec::new(),
        }
    }

    /// `bind` or `escalate`, in one of the shapes that matter, perhaps limited to names.
    pub(crate) fn about_rbac(random: &mut Random, names: &[String]) -> Self {
        let resources =
            *random.pick(&["roles", "clusterroles", "roles,clusterroles", "*", "rolebindings"]);
        let verbs = *random.pick(&["bind", "escalate", "bind,escalate", "*"]);
        let group =
            *random.weighted(&[(8, "rbac.authorization.k8s.io"), (2, "*"), (1, ""), (1, "apps")]);
        let split = |texts: &str| texts.split(',').map(str::to_owned).collect();
        let named = !names.is_empty() && random.percent(60);
        Self {
            verbs: split(verbs),
            groups: split(group),
            resources: split(resources),
            names: if named { random.some_of(names) } else { Vec::new() },
            urls: Vec::new(),
        }
    }

    /// A rule that this one covers, as a rule: parts of its lists, wildcards made concrete.
    pub(crate) fn part(&self, random: &mut Random) -> Self {
        let mut part = Self {
            verbs: random.some_of(&self.verbs),
            groups: random.some_of(&self.groups),
            resources: random.some_of(&self.resources),
            names: random.some_of(&self.names),
            urls: random.some_of(&self.urls),
        };
        if random.percent(50) {
            part.verbs
                .iter_mut()
                .filter(|verb| *verb == "*")
                .for_each(|verb| "get".clone_into(verb));
            part.groups
                .iter_mut()
                .filter(|group| *group == "*")
                .for_each(|group| "apps".clone_into(group));
            part.resources.iter_mut().for_each(make_concrete);
            part.urls.iter_mut().for_each(|url| *url = url.replace('*', "x"));
        }
        if part.names.is_empty() && part.urls.is_empty() && random.percent(20) {
            part.names = listed(random, &[], NAMES);
        }
        part
    }

    /// Changes one thing, so that it may not be covered any more, or only now.
    pub(crate) fn nudge(&mut self, random: &mut Random) {
        let (list, texts): (_, &[&str]) = match random.below(6) {
            0 => (&mut self.verbs, ODD_VERBS),
            1 => (&mut self.verbs, PLAIN_VERBS),
            2 if self.urls.is_empty() => (&mut self.groups, ODD_GROUPS),
            3 if self.urls.is_empty() => (&mut self.names, NAMES),
            _ if !self.urls.is_empty() => (&mut self.urls, URLS),
            4 => (&mut self.resources, PLAIN_RESOURCES),
            _ => (&mut self.resources, ODD_RESOURCES),
        };
        let text = (*random.pick(texts)).to_owned();
        match random.below(3) {
            0 if list.len() > 1 => _ = list.pop(),
            1 if !list.is_empty() => {
                let place = random.below(list.len());
                list.splice(place..=place, [text]);
            }
            _ => list.push(text),
        }
    }
}

/// Rules that somebody who holds `held` could want to give: covered, nearly covered, or anything.
pub(crate) fn wanted(random: &mut Random, held: &[Rule], namespaced: bool) -> Vec<Rule> {
    let mut rules = Vec::new();
    for _ in 0..random.weighted(&[(6, 1), (4, 2), (2, 3), (1, 5), (1, 0)]).to_owned() {
        let of_held = !held.is_empty() && random.percent(85);
        let rule =
            if of_held { random.pick(held).part(random) } else { Rule::draw(random, namespaced) };
        rules.push(rule);
    }
    if random.percent(35)
        && let Some(rule) = rules.last_mut()
    {
        rule.nudge(random);
    }
    if rules.len() > 1 && random.percent(20) {
        merge(&mut rules);
    }
    if random.percent(4) {
        rules.push(random.pick(&Rule::parse("verbs=- resources=pods; groups=- resources=pods; resources=pods urls=/healthz; verbs=-; resources=-")).clone());
    }
    rules
}

/// Two rules as one: the product is more than the two, and often only one of them is held.
fn merge(rules: &mut Vec<Rule>) {
    let (Some(last), Some(into)) = (rules.pop(), rules.last_mut()) else { return };
    let unite = |into: &mut Vec<String>, from: Vec<String>| {
        for text in from {
            if !into.contains(&text) {
                into.push(text);
            }
        }
    };
    unite(&mut into.verbs, last.verbs);
    unite(&mut into.groups, last.groups);
    unite(&mut into.resources, last.resources);
    unite(&mut into.names, last.names);
    unite(&mut into.urls, last.urls);
}

pub(crate) fn as_json(rules: &[Rule]) -> Value {
    rules.iter().map(Rule::json).collect()
}

pub(crate) fn owned(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn verbs(random: &mut Random) -> Vec<String> {
    listed(random, PLAIN_VERBS, ODD_VERBS)
}

/// One to three different texts, seldom odd ones.
fn listed(random: &mut Random, plain: &[&str], odd: &[&str]) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    for _ in 0..random.weighted(&[(5, 1), (4, 2), (2, 3)]).to_owned() {
        let texts = if plain.is_empty() || random.percent(25) { odd } else { plain };
        let text = (*random.pick(texts)).to_owned();
        if !list.contains(&text) {
            list.push(text);
        }
    }
    list
}

fn make_concrete(resource: &mut String) {
    let concrete = match resource.as_str() {
        "*" => "pods/log".to_owned(),
        other => match other.strip_prefix("*/") {
            Some(below) => format!("deployments/{below}"),
            None => return,
        },
    };
    *resource = concrete;
}

//! Cases of proposals: where, to whom, what is new, what is too much, what would pass, and the native objects.

use pinfold_model::object::rbac::PolicyRule;

use super::{CLUSTER, in_world, spelled, told};
use crate::explain::{
    Content, Lacks, Native, NotNative, Passing, Proposal, Shortage, natives, proposal,
};
use crate::rbac::notation::{cluster, object, requester};

fn rules(rules: &[PolicyRule]) -> String {
    rules.iter().map(told).collect::<Vec<_>>().join("; ")
}

fn shortage(shortage: &Shortage) -> String {
    match shortage {
        Shortage::Nothing => "-".to_owned(),
        Shortage::Rules { rules: missing, more } => {
            let more = if *more { " ..." } else { "" };
            format!("{}{more}", rules(missing))
        }
        Shortage::CannotTell => "?".to_owned(),
    }
}

/// A proposal in a few words, one line a grant.
fn shown(proposal: &Proposal<'_>) -> Vec<String> {
    let grants = match &proposal.grants {
        Ok(grants) => grants,
        Err(why) => return vec![format!("? {why}")],
    };
    let line = |grant: &crate::explain::Grant<'_>| {
        let Ok(rights) = &grant.rights else { return format!("{}: ?", grant.place) };
        let gives: Vec<String> = rights
            .iter()
            .map(|right| {
                format!("{}{}", told(right.rule), if right.ceiling.is_some() { " !" } else { "" })
            })
            .collect();
        let news: Vec<String> = grant
            .news
            .iter()
            .map(|news| format!("{} {}", spelled(&news.holder), shortage(&news.adds)))
            .collect();
        let author = match &grant.lacks {
            None => "nobody".to_owned(),
            Some(Lacks::Master) => "master".to_owned(),
            Some(Lacks::MayBind(lacks)) => format!("binder lacks {}", shortage(lacks)),
            Some(Lacks::MustHold(lacks)) => format!("lacks {}", shortage(lacks)),
        };
        let passing = match &grant.passing {
            Passing::All => "all".to_owned(),
            Passing::Part(part) => rules(part),
            Passing::Nothing => "none".to_owned(),
            Passing::CannotTell => "?".to_owned(),
        };
        format!(
            "{}: {} | {} | {author} | {passing}",
            grant.place,
            gives.join("; "),
            news.join(", ")
        )
    };
    grants.iter().map(line).collect()
}

/// Author, binding, and what is shown of it: `PLACE: GIVES | NEWS | AUTHOR | PASSING`.
const ROWS: &[(&str, &str, &[&str])] = &[
    (
        "",
        "RoleBinding acme/new : ClusterRole/edit to ServiceAccount/coder",
        &[
            "acme: get secrets !; get,update deployments | acme/coder - | nobody | get,update deployments",
        ],
    ),
    (
        "x devs",
        "RoleBinding beta/new : ClusterRole/edit to ServiceAccount/acme/coder",
        &[
            "beta: get secrets !; get,update deployments | acme/coder get secrets; get,update deployments | lacks get secrets; get,update deployments | none",
        ],
    ),
    (
        "dev devs",
        "RoleBinding beta/new : ClusterRole/edit to User/other",
        &[
            "beta: get secrets; get,update deployments | User other get secrets; get,update deployments | binder lacks get secrets; get,update deployments | none",
        ],
    ),
    (
        "x system:masters",
        "RoleBinding beta/new : ClusterRole/edit to ServiceAccount/acme/coder",
        &[
            "beta: get secrets !; get,update deployments | acme/coder get secrets; get,update deployments | master | get,update deployments",
        ],
    ),
    (
        "dev devs",
        "ClusterRoleBinding new : ClusterRole/view to Group/devs ServiceAccount/nameless",
        &[": get,list pods | Group devs - | lacks - | all"],
    ),
    ("x devs", "RoleBinding acme/new : Role/missing to User/u", &["acme: ?"]),
    (
        "x devs",
        "AgentRoleBinding acme/new : subject=agent-stack/fixer scope=namespace/beta role=ClusterRole/view | resources=pods,secrets",
        &[
            "beta: get,list pods | acme/fixer-id get,list pods, acme/coder - | lacks - | all",
            "beta: get pods,secrets ! | acme/fixer-id get pods,secrets, acme/coder get secrets | lacks get secrets | get pods",
        ],
    ),
    (
        "x devs",
        "AgentRoleBinding acme/new : subject=agent-stack/fixer role=RoleTemplate/reader",
        &[
            "acme: get pods,secrets ! | acme/fixer-id get pods,secrets, acme/coder get pods | lacks get secrets | get pods",
        ],
    ),
    (
        "x",
        "AgentRoleBinding acme/new : subject=agent-stack/fixer role=RoleTemplate/none",
        &["acme: ?"],
    ),
    (
        "x",
        "AgentRoleBinding acme/new : scope=organization/none role=ClusterRole/view",
        &["? organization `none` owns no known namespace"],
    ),
];

#[test]
fn what_a_binding_would_add_is_told() {
    for (author, line, expected) in ROWS {
        let mut view = cluster(CLUSTER);
        let binding = object(line);
        view.apply(binding.clone());
        let author = (!author.is_empty()).then(|| requester(author));
        in_world(&view, |world| {
            let proposal = proposal(world, &binding.key, author.as_ref()).expect("a binding");
            assert_eq!(shown(&proposal), *expected, "{line}");
        });
    }
}

/// The binding that is already there is not what its rights are compared with.
#[test]
fn news_are_what_no_other_chain_gives() {
    let view = cluster(CLUSTER);
    let existing = object("RoleBinding beta/away : ClusterRole/view to ServiceAccount/acme/coder");
    in_world(&view, |world| {
        let shown = shown(&proposal(world, &existing.key, None).expect("a binding"));
        assert_eq!(shown, ["beta: get,list pods | acme/coder get,list pods | nobody | all"]);
        assert!(proposal(world, &object("Namespace acme").key, None).is_none());
    });
}

fn native(native: &Native) -> String {
    let Native { key, content } = native;
    match content {
        Content::Role(own) => {
            format!("{} {}/{}: {}", key.kind, key.namespace, key.name, rules(own))
        }
        Content::Binding { role, subjects } => {
            let subjects: Vec<String> = subjects
                .iter()
                .map(|one| format!("{} {}/{}", one.kind, one.namespace, one.name))
                .collect();
            let (kind, name) = (&role.kind, &role.name);
            format!(
                "{} {}/{}: {kind}/{name} to {}",
                key.kind,
                key.namespace,
                key.name,
                subjects.join(", ")
            )
        }
    }
}

#[test]
fn native_objects_are_those_of_every_place() {
    let rows: &[(&str, Result<&[&str], NotNative>)] = &[
        (
            "AgentRoleBinding acme/new : subject=agent-stack/fixer role=ClusterRole/view",
            Ok(&["RoleBinding acme/new: ClusterRole/view to ServiceAccount acme/coder"]),
        ),
        (
            "AgentRoleBinding acme/new : subject=group/devs scope=cluster role=ClusterRole/view | resources=pods urls=/x",
            Ok(&[
                "ClusterRoleBinding /new: ClusterRole/view to Group /devs",
                "ClusterRole /new-rules: get pods,/x",
                "ClusterRoleBinding /new-rules: ClusterRole/new-rules to Group /devs",
            ]),
        ),
        (
            "AgentRoleBinding acme/new : subject=service-account/plain scope=namespace/beta role=RoleTemplate/reader",
            Ok(&[
                "Role beta/new: get pods,secrets",
                "RoleBinding beta/new: Role/new to ServiceAccount acme/plain",
            ]),
        ),
        (
            "AgentRoleBinding acme/new : subject=user/u | resources=pods; urls=/x",
            Ok(&["Role acme/new: get pods", "RoleBinding acme/new: Role/new to User /u"]),
        ),
        (
            "AgentRoleBinding acme/new : subject=agent-stack/none role=ClusterRole/view",
            Err(NotNative::Nobody),
        ),
        (
            "AgentRoleBinding acme/new : subject=user/u role=RoleTemplate/none",
            Err(NotNative::NoTemplate("none".to_owned())),
        ),
        (
            "AgentRoleBinding acme/new : subject=user/u scope=repository role=ClusterRole/view",
            Err(NotNative::Scope("the scope names no repository".to_owned())),
        ),
    ];
    for (line, expected) in rows {
        let mut view = cluster(CLUSTER);
        let binding = object(line);
        view.apply(binding.clone());
        let found = in_world(&view, |world| natives(world, &binding.key));
        let found = found.map(|natives| natives.iter().map(native).collect::<Vec<_>>());
        let expected =
            expected.clone().map(|lines| lines.iter().map(|line| (*line).to_owned()).collect());
        assert_eq!(found, expected, "{line}");
    }
}

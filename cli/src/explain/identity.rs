//! Reads whom a user means: `acme/coder`, `AgentStack/fixer`, `system:serviceaccount:acme:coder`, `--user dev --group devs`.

use pinfold_engine::explain::Identity;
use pinfold_engine::rbac::agents::Account;

use crate::CliError;
use crate::arguments::WhatCanArguments;
use crate::check::identity;

/// The identity that the arguments name.
pub(super) fn read(arguments: &WhatCanArguments) -> Result<Identity, CliError> {
    let Some(text) = &arguments.identity else { return Ok(principal(arguments)) };
    let parts: Vec<&str> = text.split('/').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(unclear(text));
    }
    let own = |namespace: &str, name: &str| (namespace.to_owned(), name.to_owned());
    let home = arguments.namespace.as_str();
    match parts.as_slice() {
        [name] => Ok(match name.strip_prefix("system:serviceaccount:") {
            Some(rest) => {
                let (namespace, name) = rest.split_once(':').ok_or_else(|| unclear(text))?;
                account(namespace, name)
            }
            None => account(home, name),
        }),
        ["AgentStack", rest @ ..] => {
            let (namespace, name) = placed(rest, home).ok_or_else(|| unclear(text))?;
            let (namespace, name) = own(namespace, name);
            Ok(Identity::Stack { namespace, name })
        }
        ["RunnerPool", rest @ ..] => {
            let (namespace, name) = placed(rest, home).ok_or_else(|| unclear(text))?;
            let (namespace, name) = own(namespace, name);
            Ok(Identity::Pool { namespace, name })
        }
        ["ServiceAccount", rest @ ..] => {
            let (namespace, name) = placed(rest, home).ok_or_else(|| unclear(text))?;
            Ok(account(namespace, name))
        }
        [namespace, name] => Ok(account(namespace, name)),
        _ => Err(unclear(text)),
    }
}

fn principal(arguments: &WhatCanArguments) -> Identity {
    let groups = arguments.groups.clone();
    Identity::Principal(match &arguments.user {
        Some(user) => identity(user.clone(), String::new(), groups),
        // Of the members of a group nothing more is known than that they are in it.
        None => pinfold_model::facts::Requester { groups, ..Default::default() },
    })
}

fn placed<'t>(rest: &[&'t str], home: &'t str) -> Option<(&'t str, &'t str)> {
    match rest {
        [name] => Some((home, name)),
        [namespace, name] => Some((namespace, name)),
        _ => None,
    }
}

fn account(namespace: &str, name: &str) -> Identity {
    Identity::Account(Account { namespace: namespace.to_owned(), name: name.to_owned() })
}

fn unclear(text: &str) -> CliError {
    CliError::Input(format!(
        "can't tell whom `{text}` means: expected `NAMESPACE/NAME` of a ServiceAccount, `AgentStack/NAME`, `RunnerPool/NAME`, or `--user` and `--group`"
    ))
}

//! Questions of the authorizer: SubjectAccessReviews and the engine's form of them.

use pinfold_model::facts::AccessQuestion;
use serde_json::{Value, json};

use crate::random::Random;
use crate::rules::Rule;
use crate::world::{User, World};

const VERBS: &[&str] =
    &["get", "list", "create", "delete", "bind", "escalate", "*", "GET", "watch"];

/// Somebody and what they could be asked about: near what they hold.
pub(crate) fn draw(random: &mut Random, world: &World) -> (User, AccessQuestion) {
    let number = random.below(world.users.len());
    let mut user = world
        .users
        .get(number)
        .cloned()
        .unwrap_or(User { name: "nobody".to_owned(), groups: Vec::new() });
    if random.percent(10) {
        user.groups.push("system:serviceaccounts".to_owned());
    }
    let namespace =
        if random.percent(30) { String::new() } else { random.pick(&world.namespaces).clone() };
    let held: Vec<Rule> =
        world.held(number, &namespace).into_iter().filter(|rule| rule.urls.is_empty()).collect();
    let rule = if held.is_empty() || random.percent(15) {
        Rule::draw(random, true)
    } else {
        let mut part = random.pick(&held).part(random);
        if random.percent(20) {
            part.nudge(random);
        }
        part
    };
    let of = |random: &mut Random, list: &[String], none: &str| {
        if list.is_empty() { none.to_owned() } else { random.pick(list).clone() }
    };
    let verb = of(random, &rule.verbs, "get");
    let verb = VERBS.iter().copied().find(|known| *known == verb).unwrap_or("impersonate");
    let unnamed = if random.percent(50) { "" } else { "a" };
    let question = AccessQuestion {
        user: None,
        verb,
        group: of(random, &rule.groups, ""),
        // Nothing after the slash is no subresource, and then there is no slash.
        resource: of(random, &rule.resources, "pods").trim_end_matches('/').to_owned(),
        namespace,
        name: of(random, &rule.names, unnamed),
    };
    (user, question)
}

/// The `spec` of the SubjectAccessReview that asks the same. What follows the first slash is the subresource.
pub(crate) fn spec(user: &User, question: &AccessQuestion) -> Value {
    let AccessQuestion { verb, group, resource, namespace, name, .. } = question;
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    json!({"user": user.name, "groups": user.groups, "resourceAttributes": {"verb": verb, "group": group,
        "version": "v1", "resource": resource, "subresource": subresource, "namespace": namespace, "name": name}})
}

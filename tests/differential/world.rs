//! A world: namespaces, roles and bindings of its own, and the people in it. Names begin with the world's, so that several can be told apart.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::kinds::{GROUP, RbacKind, set, text};
use crate::random::Random;
use crate::rules::{CORNERS, Rule, as_json};

/// The label by which a world's objects are found again.
pub(crate) const LABEL: &str = "pinfold.test/world";
const NAMESPACES: usize = 3;
const CLUSTER_ROLES: usize = 24;
const ROLES: usize = 8;
const GROUPS: usize = 5;
const PEOPLE: usize = 16;
const CORNERS_HERE: usize = 12;
const AGGREGATES: usize = 6;
/// Bindings to subjects that are nearly somebody.
const NEAR_MISSES: usize = 14;

/// Somebody who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) groups: Vec<String>,
}

/// A role of the world, or one that it only names.
#[derive(Debug, Clone)]
pub(crate) struct RoleEntry {
    pub(crate) kind: RbacKind,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) rules: Vec<Rule>,
}

/// That somebody is bound to a role somewhere. The generator's own view, to draw requests that lie near the edge; it decides nothing.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) user: usize,
    /// Empty for everywhere.
    pub(crate) namespace: String,
    pub(crate) role: usize,
}

/// What is in a cluster, and who.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    pub(crate) name: String,
    pub(crate) namespaces: Vec<String>,
    pub(crate) objects: Vec<Value>,
    pub(crate) users: Vec<User>,
    pub(crate) roles: Vec<RoleEntry>,
    pub(crate) grants: Vec<Grant>,
    /// People and the rules of a corner that they want to give.
    pub(crate) corners: Vec<(usize, Vec<Rule>)>,
    /// ClusterRoles that aggregate and that nothing has filled, each with another that holds what the controller would write.
    pub(crate) shadows: BTreeMap<String, String>,
    aggregates: Vec<(String, Vec<Value>)>,
    next_binding: usize,
}

impl World {
    /// The world of that number; each has other corners.
    pub(crate) fn draw(random: &mut Random, name: &str, number: usize) -> Self {
        let namespaces = (0..NAMESPACES).map(|number| format!("{name}-n{number}")).collect();
        let mut world = Self { name: name.to_owned(), namespaces, ..Self::default() };
        world.add_people(random);
        world.add_cluster_roles(random);
        world.add_aggregates(random);
        world.add_roles(random);
        world.add_grants(random);
        world.add_corners(random, number);
        world.add_near_misses(random);
        for object in &mut world.objects {
            let labels = object.pointer("/metadata/labels").cloned().unwrap_or_else(|| json!({}));
            set(object, "/metadata", "labels", labels);
            set(object, "/metadata/labels", LABEL, json!(name));
        }
        world
    }

    /// What a user is bound to in a place, as the generator made it.
    pub(crate) fn held(&self, user: usize, namespace: &str) -> Vec<Rule> {
        let here = |grant: &&Grant| {
            grant.user == user && (grant.namespace.is_empty() || grant.namespace == namespace)
        };
        let roles = self.grants.iter().filter(here).filter_map(|grant| self.roles.get(grant.role));
        roles.flat_map(|role| role.rules.clone()).collect()
    }

    fn group(&self, number: usize) -> String {
        format!("{}-g{number}", self.name)
    }

    fn add_people(&mut self, random: &mut Random) {
        for number in 0..PEOPLE {
            let name = format!("{}-u{number}", self.name);
            let mut groups: Vec<String> = Vec::new();
            for _ in 0..random.below(3) {
                groups.push(self.group(random.below(GROUPS)));
            }
            self.users.push(match number % 8 {
                // With the groups that the API server gives it, and with none of them.
                0 | 1 => {
                    let namespace = random.pick(&self.namespaces);
                    User {
                        name: format!("system:serviceaccount:{namespace}:sa{number}"),
                        groups: Vec::new(),
                    }
                }
                2 => {
                    let namespace = random.pick(&self.namespaces);
                    groups.push("system:authenticated".to_owned());
                    User { name: format!("system:serviceaccount:{namespace}:sa{number}"), groups }
                }
                3 => User { name: format!("{name}:*"), groups },
                _ => User { name, groups },
            });
        }
        self.users.push(User { name: "system:anonymous".to_owned(), groups: Vec::new() });
        let groups = vec!["system:masters".to_owned()];
        self.users.push(User { name: format!("{}-master", self.name), groups });
        // Nobody: named like a group and like a ServiceAccount without a name.
        self.users.push(User { name: self.group(0), groups: Vec::new() });
        let odd = format!("system:serviceaccount:{}-n0", self.name);
        self.users.push(User { name: odd, groups: Vec::new() });
    }

    fn add_role(
        &mut self,
        entry: RoleEntry,
        labels: &[String],
        aggregation: Option<Value>,
    ) -> usize {
        let mut object = entry.kind.object(&entry.namespace, &entry.name);
        let labels: BTreeMap<_, _> = labels.iter().map(|label| (label.as_str(), "true")).collect();
        set(&mut object, "/metadata", "labels", json!(labels));
        set(&mut object, "", "rules", as_json(&entry.rules));
        if let Some(selectors) = aggregation {
            set(&mut object, "", "aggregationRule", json!({"clusterRoleSelectors": selectors}));
        }
        self.objects.push(object);
        self.roles.push(entry);
        self.roles.len().saturating_sub(1)
    }

    fn role_names(&self) -> Vec<String> {
        let name = &self.name;
        let mut names: Vec<String> = (0..4).map(|number| format!("{name}-cr{number}")).collect();
        names.extend([
            "r0".to_owned(),
            "r1".to_owned(),
            format!("{name}-absent"),
            format!("{name}-new"),
        ]);
        names
    }

    fn draw_rules(&self, random: &mut Random, namespaced: bool) -> Vec<Rule> {
        let mut rules: Vec<Rule> =
            (0..random.between(1, 3)).map(|_| Rule::draw(random, namespaced)).collect();
        if random.percent(30) {
            rules.push(Rule::about_rbac(random, &self.role_names()));
        }
        rules
    }

    /// ClusterRoles that can be held and bound; some carry labels by which others aggregate them.
    fn add_cluster_roles(&mut self, random: &mut Random) {
        let name = self.name.clone();
        for number in 0..CLUSTER_ROLES {
            let rules = match number {
                // Everything; everything but URLs; nothing.
                21 => Rule::parse("verbs=* groups=* resources=*; verbs=* urls=*"),
                22 => Rule::parse("verbs=* groups=* resources=*"),
                23 => Vec::new(),
                _ => self.draw_rules(random, false),
            };
            let labels: Vec<String> = (0..AGGREGATES)
                .filter(|_| number < 12 && random.percent(20))
                .map(|aggregate| label(&name, aggregate))
                .collect();
            let entry = RoleEntry {
                kind: RbacKind::ClusterRole,
                namespace: String::new(),
                name: format!("{name}-cr{number}"),
                rules,
            };
            self.add_role(entry, &labels, None);
            if let Some(object) = self.objects.last() {
                self.aggregates.push((format!("{name}-cr{number}"), label_list(object)));
            }
        }
    }

    /// ClusterRoles that aggregate: those with even numbers filled as the controller does, the others as somebody left them, with a
    /// shadow. The last two aggregate aggregates.
    fn add_aggregates(&mut self, random: &mut Random) {
        let name = self.name.clone();
        for number in 0..AGGREGATES {
            let nested = number >= 4;
            let own = format!("{name}-agg{number}");
            let selectors = if nested {
                json!([{"matchExpressions": [{"key": label(&name, 100), "operator": "In", "values": ["true", "yes"]}]},
                    {"matchLabels": {label(&name, number): "true"}}])
            } else if random.percent(30) {
                json!([{"matchExpressions": [{"key": label(&name, number), "operator": "Exists"}]}])
            } else {
                json!([{"matchLabels": {label(&name, number): "true"}}])
            };
            let labels = if nested { Vec::new() } else { vec![label(&name, 100)] };
            let rules = self.selected(&own, number, nested);
            let filled = number.is_multiple_of(2);
            let entry = |name: String, rules| RoleEntry {
                kind: RbacKind::ClusterRole,
                namespace: String::new(),
                name,
                rules,
            };
            let stored = if filled { rules.clone() } else { Vec::new() };
            self.add_role(entry(own.clone(), stored), &labels, Some(selectors));
            if let Some(object) = self.objects.last() {
                self.aggregates.push((own.clone(), label_list(object)));
            }
            if !filled {
                let shadow = format!("{own}-shadow");
                self.add_role(entry(shadow.clone(), rules), &[], None);
                self.shadows.insert(own, shadow);
            }
        }
    }

    /// What the controller would put into an aggregate that selects its own label and, if nested, all earlier aggregates.
    fn selected(&self, own: &str, number: usize, nested: bool) -> Vec<Rule> {
        let mut rules: Vec<Rule> = Vec::new();
        let mut wanted = BTreeSet::from([json!(label(&self.name, number)).to_string()]);
        if nested {
            wanted.insert(json!(label(&self.name, 100)).to_string());
        }
        for (name, labels) in &self.aggregates {
            let selected = labels.iter().any(|label| wanted.contains(&label.to_string()));
            if !selected || name == own {
                continue;
            }
            let shown = self.shadows.get(name).unwrap_or(name);
            let role = self.roles.iter().find(|role| role.name == *shown);
            for rule in role.into_iter().flat_map(|role| &role.rules) {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
        rules
    }

    /// Roles, under the same names in each namespace but with other rules.
    fn add_roles(&mut self, random: &mut Random) {
        for namespace in self.namespaces.clone() {
            for number in 0..ROLES {
                let mut rules = self.draw_rules(random, true);
                rules.retain(|rule| rule.is_storable(true));
                let name = format!("r{number}");
                let namespace = namespace.clone();
                self.add_role(
                    RoleEntry { kind: RbacKind::Role, namespace, name, rules },
                    &[],
                    None,
                );
            }
        }
    }

    /// Binds a subject; without a namespace by a ClusterRoleBinding.
    pub(crate) fn bind(&mut self, namespace: &str, role: (RbacKind, &str), subjects: &Value) {
        let kind =
            if namespace.is_empty() { RbacKind::ClusterRoleBinding } else { RbacKind::RoleBinding };
        let mut object = kind.object(namespace, &format!("{}-b{}", self.name, self.next_binding));
        self.next_binding = self.next_binding.saturating_add(1);
        let reference = json!({"apiGroup": GROUP, "kind": role.0.name(), "name": role.1});
        set(&mut object, "", "roleRef", reference);
        set(&mut object, "", "subjects", subjects.clone());
        self.objects.push(object);
    }

    /// One to four roles for everybody, under any spelling.
    fn add_grants(&mut self, random: &mut Random) {
        for user in 0..self.users.len() {
            for _ in 0..random.between(1, 4) {
                self.grant(random, user);
            }
        }
        // A role that is gone doesn't take away what the others give.
        for user in 0..3 {
            let subject = self.spelling(random, user, "");
            let absent = format!("{}-absent", self.name);
            self.bind("", (RbacKind::ClusterRole, &absent), &json!([subject]));
        }
    }

    fn grant(&mut self, random: &mut Random, user: usize) {
        let role = random.below(self.roles.len());
        let Some(entry) = self.roles.get(role).cloned() else { return };
        let namespace = if entry.kind == RbacKind::Role {
            entry.namespace
        } else if random.percent(50) {
            String::new()
        } else {
            random.pick(&self.namespaces).clone()
        };
        let mut subjects = vec![self.spelling(random, user, &namespace)];
        if random.percent(30) {
            subjects.push(self.near_miss(random, &namespace));
        }
        self.bind(&namespace, (entry.kind, &entry.name), &subjects.into());
        self.grants.push(Grant { user, namespace, role });
    }

    /// A subject that means this user in a binding there.
    pub(crate) fn spelling(&self, random: &mut Random, user: usize, namespace: &str) -> Value {
        let Some(user) = self.users.get(user) else { return Value::Null };
        let mut spellings = vec![json!({"kind": "User", "apiGroup": GROUP, "name": user.name})];
        for group in &user.groups {
            if group.starts_with(&self.name) {
                spellings.push(json!({"kind": "Group", "apiGroup": GROUP, "name": group}));
            }
        }
        let account =
            user.name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
        if let Some((own, name)) = account {
            spellings.push(json!({"kind": "ServiceAccount", "namespace": own, "name": name}));
            if own == namespace {
                spellings.push(json!({"kind": "ServiceAccount", "name": name}));
            }
            if user.groups.is_empty() {
                let group = format!("system:serviceaccounts:{own}");
                spellings.push(json!({"kind": "Group", "apiGroup": GROUP, "name": group}));
            }
            if user.groups.is_empty() && !namespace.is_empty() {
                spellings.push(
                    json!({"kind": "Group", "apiGroup": GROUP, "name": "system:serviceaccounts"}),
                );
            }
        }
        random.pick(&spellings).clone()
    }

    /// A subject that looks like somebody and is somebody else, or nobody.
    pub(crate) fn near_miss(&self, random: &mut Random, namespace: &str) -> Value {
        let user = random.pick(&self.users);
        let other = random.pick(&self.namespaces);
        let own = random.pick(&self.namespaces);
        let group = self.group(random.below(GROUPS));
        let account = format!("sa{}", random.below(PEOPLE));
        let local = if namespace.is_empty() { Some(other) } else { None };
        random
            .pick(&[
                json!({"kind": "User", "apiGroup": GROUP, "name": "*"}),
                json!({"kind": "User", "name": format!("{}-*", self.name)}),
                json!({"kind": "User", "apiGroup": GROUP, "name": group}),
                json!({"kind": "Group", "apiGroup": GROUP, "name": user.name}),
                json!({"kind": "Group", "name": "*"}),
                json!({"kind": "Group", "apiGroup": GROUP, "name": format!("system:serviceaccount:{other}:{account}")}),
                json!({"kind": "User", "apiGroup": GROUP, "name": format!("system:serviceaccounts:{other}")}),
                json!({"kind": "User", "apiGroup": GROUP, "name": format!("system:serviceaccount:{own}:{account}")}),
                json!({"kind": "ServiceAccount", "namespace": other, "name": account}),
                json!({"kind": "ServiceAccount", "namespace": local.unwrap_or(own), "name": account}),
                json!({"kind": "Group", "name": "system:masters"}),
            ])
            .clone()
    }

    /// Pairs of the table of corners, all of them in a few worlds: one user holds the owner's side, and there is a role with the other.
    fn add_corners(&mut self, random: &mut Random, number: usize) {
        let first = number.saturating_mul(CORNERS_HERE);
        for (owner, wanted) in CORNERS.iter().cycle().skip(first).take(CORNERS_HERE) {
            self.add_corner(random, &Rule::parse(owner), Rule::parse(wanted));
        }
        // Rights to escalate and to bind, limited to names and not, by people who hold nothing of what they give.
        let new = format!("{}-new", self.name);
        let next = format!("{}-wanted{}", self.name, self.corners.len().saturating_add(2));
        let rights = [
            format!(
                "verbs=escalate groups={GROUP} resources=roles,clusterroles names={new},r0,{}-cr0",
                self.name
            ),
            format!("verbs=escalate groups={GROUP} resources=roles,clusterroles"),
            format!(
                "verbs=bind groups={GROUP} resources=clusterroles names={next},{}-absent",
                self.name
            ),
            format!("verbs=bind groups={GROUP} resources=clusterroles"),
        ];
        for right in rights {
            self.add_corner(
                random,
                &Rule::parse(&right),
                Rule::parse("verbs=delete resources=nodes"),
            );
        }
    }

    fn add_corner(&mut self, random: &mut Random, owner: &[Rule], wanted: Vec<Rule>) {
        let (name, number) = (self.name.clone(), self.corners.len());
        let entry = |what: &str, rules: &[Rule]| RoleEntry {
            kind: RbacKind::ClusterRole,
            namespace: String::new(),
            name: format!("{name}-{what}{number}"),
            rules: rules.to_vec(),
        };
        let user = self.users.len();
        let groups = vec![self.group(number % GROUPS)];
        self.users.push(User { name: format!("{name}-c{number}"), groups });
        let role = self.add_role(entry("owner", owner), &[], None);
        let namespace =
            if random.percent(60) { String::new() } else { random.pick(&self.namespaces).clone() };
        let subject =
            json!([{"kind": "User", "apiGroup": GROUP, "name": format!("{name}-c{number}")}]);
        self.bind(&namespace, (RbacKind::ClusterRole, &format!("{name}-owner{number}")), &subject);
        self.grants.push(Grant { user, namespace, role });
        if wanted.iter().all(|rule| rule.is_storable(false)) {
            self.add_role(entry("wanted", &wanted), &[], None);
        }
        self.corners.push((user, wanted));
    }

    /// Bindings that give nobody anything, and a few that give everybody little.
    fn add_near_misses(&mut self, random: &mut Random) {
        for _ in 0..NEAR_MISSES {
            let namespace = if random.percent(50) {
                String::new()
            } else {
                random.pick(&self.namespaces).clone()
            };
            let role = random.pick(&self.roles).clone();
            if role.kind == RbacKind::Role && role.namespace != namespace {
                continue;
            }
            let subjects = json!([self.near_miss(random, &namespace)]);
            self.bind(&namespace, (role.kind, &role.name), &subjects);
        }
        let everybody =
            ["system:authenticated", "system:unauthenticated", "system:serviceaccounts"];
        for (number, group) in everybody.into_iter().enumerate() {
            let namespace = random.pick(&self.namespaces).clone();
            let subjects = json!([{"kind": "Group", "name": group}]);
            self.bind(&namespace, (RbacKind::Role, &format!("r{number}")), &subjects);
        }
    }

    /// Whether all aggregates, what they aggregate and their shadows are among these objects, unchanged.
    pub(crate) fn aggregates_are_whole(&self, objects: &[Value]) -> bool {
        let concerned = |object: &&Value| {
            let labelled = label_list(object)
                .iter()
                .any(|label| label.as_str().is_some_and(|label| label.contains("/aggregate-")));
            labelled || text(object, "/metadata/name").contains("-agg")
        };
        self.objects.iter().filter(concerned).all(|object| objects.contains(object))
    }

    /// The objects of a kind.
    pub(crate) fn objects_of(&self, kind: RbacKind) -> Vec<&Value> {
        self.objects.iter().filter(|object| text(object, "/kind") == kind.name()).collect()
    }
}

fn label(world: &str, aggregate: usize) -> String {
    format!("{world}.test/aggregate-{aggregate}")
}

fn label_list(role: &Value) -> Vec<Value> {
    let labels = role.pointer("/metadata/labels").and_then(Value::as_object);
    labels.into_iter().flatten().map(|(name, _)| json!(name)).collect()
}

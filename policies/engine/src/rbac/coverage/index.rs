//! The owner's rules, indexed by the texts that are wanted.

use std::collections::{BTreeMap, HashMap};

use pinfold_model::object::rbac::PolicyRule;

use super::MAX_ROW_WORDS;
use super::product::{Axis, Budget, Class, Level};

/// How many texts of one wanted rule are tried together; longer lists are left to the walk, which has a budget.
const MAX_TOGETHER: usize = 4_096;

/// A set of owner rules, one bit each.
pub(super) type Row = Vec<u64>;

/// Sets the bit of a rule.
fn set(row: &mut Row, rule: usize) {
    if let Some(word) = row.get_mut(rule / 64) {
        *word |= 1 << (rule % 64);
    }
}

fn unite(into: &mut Row, other: &Row) {
    for (word, more) in into.iter_mut().zip(other) {
        *word |= more;
    }
}

/// The wanted texts of one field, each with the owner rules that grant it.
#[derive(Default)]
struct Texts<'w> {
    ids: HashMap<&'w str, usize>,
    rows: Vec<Row>,
    /// Owner rules that grant every text.
    any: Row,
    /// For each row, the first one that is equal.
    class: Vec<usize>,
}

impl<'w> Texts<'w> {
    /// Enters wanted texts, and gives their row numbers.
    fn want(&mut self, texts: impl IntoIterator<Item = &'w str>) -> Vec<usize> {
        let id = |text| {
            let next = self.ids.len();
            *self.ids.entry(text).or_insert(next)
        };
        texts.into_iter().map(id).collect()
    }

    fn make_rows(&mut self, words: usize) {
        self.rows = vec![vec![0; words]; self.ids.len()];
        self.any = vec![0; words];
    }

    /// Notes that an owner rule grants exactly this text; whether that matters to anyone.
    fn grant(&mut self, text: &str, rule: usize) -> bool {
        let row = self.ids.get(text).and_then(|id| self.rows.get_mut(*id));
        row.map(|row| set(row, rule)).is_some()
    }

    /// The same for a list in which `*` grants every text.
    fn grant_all(&mut self, texts: &[String], rule: usize) -> bool {
        let mut matters = false;
        for text in texts {
            if text == "*" {
                set(&mut self.any, rule);
                matters = true;
            } else {
                matters |= self.grant(text, rule);
            }
        }
        matters
    }

    /// Adds the rules that grant everything to each row, and finds equal rows.
    fn finish(&mut self) {
        for row in &mut self.rows {
            unite(row, &self.any);
        }
        let mut first: HashMap<&Row, usize> = HashMap::new();
        self.class =
            self.rows.iter().enumerate().map(|(id, row)| *first.entry(row).or_insert(id)).collect();
    }

    /// The places of a list, grouped by equal rows.
    fn classes<'i>(&'i self, ids: &[usize]) -> Vec<Class<'i>> {
        let mut grouped: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, id) in ids.iter().enumerate() {
            if let Some(class) = self.class.get(*id) {
                grouped.entry(*class).or_default().push(place);
            }
        }
        let row = |(class, places)| Some(Class { row: self.rows.get(class)?, places });
        grouped.into_iter().filter_map(row).collect()
    }
}

/// The row numbers of one wanted rule, field by field.
struct Wanted {
    groups: Vec<usize>,
    resources: Vec<usize>,
    verbs: Vec<usize>,
    names: Vec<usize>,
    urls: Vec<usize>,
}

/// The owner's rules by the texts that are wanted.
pub(super) struct Index<'w> {
    groups: Texts<'w>,
    resources: Texts<'w>,
    /// What follows the first slash of wanted resources.
    subresources: Texts<'w>,
    verbs: Texts<'w>,
    names: Texts<'w>,
    urls: Texts<'w>,
    wanted: Vec<Wanted>,
    words: usize,
}

impl<'w> Index<'w> {
    /// Indexes the owner's rules; `None` if that is too much.
    pub(super) fn new(
        owner: &[&PolicyRule],
        wanted: &[&'w PolicyRule],
        budget: &mut Budget,
    ) -> Option<Self> {
        let words = owner.len().div_ceil(64);
        let mut index = Self {
            groups: Texts::default(),
            resources: Texts::default(),
            subresources: Texts::default(),
            verbs: Texts::default(),
            names: Texts::default(),
            urls: Texts::default(),
            wanted: Vec::with_capacity(wanted.len()),
            words,
        };
        for rule in wanted {
            index.want(rule);
        }
        index.make_rows()?;
        for (position, rule) in owner.iter().enumerate() {
            index.hold(position, rule, budget)?;
        }
        index.finish(wanted);
        Some(index)
    }

    /// How many words a row has.
    pub(super) fn words(&self) -> usize {
        self.words
    }

    fn want(&mut self, rule: &'w PolicyRule) {
        let wanted = Wanted {
            groups: self.groups.want(texts(&rule.api_groups)),
            resources: self.resources.want(texts(&rule.resources)),
            verbs: self.verbs.want(texts(&rule.verbs)),
            names: self.names.want(texts(&rule.resource_names)),
            urls: self.urls.want(texts(&rule.non_resource_urls)),
        };
        self.subresources.want(texts(&rule.resources).filter_map(subresource));
        self.wanted.push(wanted);
    }

    fn fields(&mut self) -> [&mut Texts<'w>; 6] {
        let Self { groups, resources, subresources, verbs, names, urls, .. } = self;
        [groups, resources, subresources, verbs, names, urls]
    }

    fn make_rows(&mut self) -> Option<()> {
        let words = self.words;
        let texts: usize = self.fields().iter().map(|texts| texts.ids.len()).sum();
        if texts.saturating_mul(words) > MAX_ROW_WORDS {
            return None;
        }
        self.fields().into_iter().for_each(|texts| texts.make_rows(words));
        Some(())
    }

    /// Enters one owner rule; groups and resources first, because most rules are about something else.
    fn hold(&mut self, position: usize, rule: &PolicyRule, budget: &mut Budget) -> Option<()> {
        let about_resources = self.groups.grant_all(&rule.api_groups, position)
            && self.hold_resources(position, &rule.resources);
        let about_urls = self.hold_urls(position, &rule.non_resource_urls, budget)?;
        if !about_resources && !about_urls {
            return Some(());
        }
        self.verbs.grant_all(&rule.verbs, position);
        if rule.resource_names.is_empty() {
            set(&mut self.names.any, position);
        }
        for name in &rule.resource_names {
            self.names.grant(name, position);
        }
        Some(())
    }

    fn hold_resources(&mut self, position: usize, resources: &[String]) -> bool {
        let mut matters = self.resources.grant_all(resources, position);
        for resource in resources {
            if let Some(subresource) = resource.strip_prefix("*/") {
                matters |= self.subresources.grant(subresource, position);
            }
        }
        matters
    }

    fn hold_urls(&mut self, position: usize, held: &[String], budget: &mut Budget) -> Option<bool> {
        let mut matters = false;
        if self.urls.ids.is_empty() {
            return Some(matters);
        }
        for url in held {
            budget.spend(self.urls.ids.len())?;
            let Some(prefix) = url.ends_with('*').then(|| url.trim_end_matches('*')) else {
                matters |= self.urls.grant(url, position);
                continue;
            };
            for (wanted, id) in &self.urls.ids {
                if let Some(row) =
                    self.urls.rows.get_mut(*id).filter(|_| wanted.starts_with(prefix))
                {
                    set(row, position);
                    matters = true;
                }
            }
        }
        Some(matters)
    }

    /// Joins `*/subresource` with the resources that it grants, and closes all rows.
    fn finish(&mut self, wanted: &[&'w PolicyRule]) {
        for resource in wanted.iter().flat_map(|rule| texts(&rule.resources)) {
            let Some(tail) = subresource(resource) else { continue };
            let granted = self.subresources.ids.get(tail);
            let granted = granted.and_then(|id| self.subresources.rows.get(*id));
            let row = self.resources.ids.get(resource);
            let row = row.and_then(|id| self.resources.rows.get_mut(*id));
            if let (Some(row), Some(granted)) = (row, granted) {
                unite(row, granted);
            }
        }
        self.fields().into_iter().for_each(Texts::finish);
    }

    /// Whether the rows of all these texts have a rule in common; if `unnamed`, one without names.
    fn one_rule_grants(&self, unnamed: bool, fields: &[(&Texts<'w>, &[usize])]) -> bool {
        if fields.iter().map(|(_, ids)| ids.len()).sum::<usize>() > MAX_TOGETHER {
            return false;
        }
        (0..self.words).any(|word| {
            let nameless = self.names.any.get(word).copied().unwrap_or_default();
            let mut common = if unnamed { nameless } else { u64::MAX };
            for (texts, ids) in fields {
                for row in ids.iter().filter_map(|id| texts.rows.get(*id)) {
                    common &= row.get(word).copied().unwrap_or_default();
                }
            }
            common != 0
        })
    }

    /// The axes of one wanted rule.
    pub(super) fn levels(&self, position: usize) -> Option<Levels<'_>> {
        let wanted = self.wanted.get(position)?;
        Some(Levels { index: self, wanted })
    }
}

/// The axes of one wanted rule.
pub(super) struct Levels<'i> {
    index: &'i Index<'i>,
    wanted: &'i Wanted,
}

impl<'i> Levels<'i> {
    /// Whether a single owner rule grants all resources of the wanted rule, as is usual. It saves the walk over their product.
    pub(super) fn one_rule_grants_resources(&self) -> bool {
        let Self { index, wanted } = self;
        let fields: [(&Texts<'_>, &[usize]); 4] = [
            (&index.groups, &wanted.groups),
            (&index.resources, &wanted.resources),
            (&index.verbs, &wanted.verbs),
            (&index.names, &wanted.names),
        ];
        index.one_rule_grants(wanted.names.is_empty(), &fields)
    }

    /// The same for its URLs.
    pub(super) fn one_rule_grants_urls(&self) -> bool {
        let Self { index, wanted } = self;
        let fields: [(&Texts<'_>, &[usize]); 2] =
            [(&index.urls, &wanted.urls), (&index.verbs, &wanted.verbs)];
        wanted.urls.is_empty() || index.one_rule_grants(true, &fields)
    }

    /// Groups, resources, verbs, names.
    pub(super) fn resources(&self) -> Vec<Level<'i>> {
        let Self { index, wanted } = self;
        let names = if wanted.names.is_empty() {
            self.unnamed()
        } else {
            Level { axis: Axis::Names, classes: index.names.classes(&wanted.names) }
        };
        vec![
            Level { axis: Axis::Groups, classes: index.groups.classes(&wanted.groups) },
            Level { axis: Axis::Resources, classes: index.resources.classes(&wanted.resources) },
            Level { axis: Axis::Verbs, classes: index.verbs.classes(&wanted.verbs) },
            names,
        ]
    }

    /// URLs, verbs. Names never apply to URLs, and an owner rule with names grants none.
    pub(super) fn urls(&self) -> Vec<Level<'i>> {
        let Self { index, wanted } = self;
        vec![
            Level { axis: Axis::Urls, classes: index.urls.classes(&wanted.urls) },
            Level { axis: Axis::Verbs, classes: index.verbs.classes(&wanted.verbs) },
            self.unnamed(),
        ]
    }

    /// The one class of atoms without a name.
    fn unnamed(&self) -> Level<'i> {
        let only = Class { row: &self.index.names.any, places: Vec::new() };
        Level { axis: Axis::Names, classes: vec![only] }
    }
}

fn texts(list: &[String]) -> impl Iterator<Item = &str> {
    list.iter().map(String::as_str)
}

/// What follows the first slash.
fn subresource(resource: &str) -> Option<&str> {
    resource.split_once('/').map(|(_, tail)| tail)
}

//! Walks the product of a wanted rule's fields, level by level, and collects the blocks of it that no owner rule covers.

use pinfold_model::object::rbac::PolicyRule;

use super::index::Row;
use super::{Gap, MAX_BLOCKS, MAX_LISTED, Missing};

/// A field of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    Groups,
    Resources,
    Verbs,
    Names,
    Urls,
}

/// Texts of one field that the same owner rules grant.
pub(super) struct Class<'i> {
    /// Those rules.
    pub(super) row: &'i Row,
    /// Places of the texts in the list; empty only for "no name".
    pub(super) places: Vec<usize>,
}

impl Class<'_> {
    fn size(&self) -> u64 {
        u64::try_from(self.places.len()).unwrap_or(u64::MAX).max(1)
    }
}

/// One field of a wanted rule.
pub(super) struct Level<'i> {
    pub(super) axis: Axis,
    pub(super) classes: Vec<Class<'i>>,
}

/// What work is left.
pub(super) struct Budget(u64);

impl Budget {
    pub(super) fn of(steps: u64) -> Self {
        Self(steps)
    }

    /// Takes some steps; `None` if there aren't so many.
    pub(super) fn spend(&mut self, steps: usize) -> Option<()> {
        self.0 = self.0.checked_sub(u64::try_from(steps).ok()?)?;
        Some(())
    }
}

/// A block of the product: for each level, the numbers of the classes in it.
type Block = Vec<Vec<usize>>;

/// The walk over one product.
pub(super) struct Product<'l, 'i> {
    levels: &'l [Level<'i>],
    words: usize,
    blocks: Vec<Block>,
    atoms: u64,
    /// Level and place of the first text that is missing.
    first: Option<(Axis, Option<usize>)>,
}

impl<'l, 'i> Product<'l, 'i> {
    pub(super) fn new(levels: &'l [Level<'i>], words: usize) -> Self {
        Self { levels, words, blocks: Vec::new(), atoms: 0, first: None }
    }

    /// Finds all blocks that are not covered; `None` if the budget is exhausted.
    pub(super) fn walk(&mut self, budget: &mut Budget) -> Option<()> {
        if self.levels.iter().any(|level| level.classes.is_empty()) {
            return Some(());
        }
        let all = vec![u64::MAX; self.words];
        let mut scratch = vec![vec![0; self.words]; self.levels.len()];
        self.descend(&all, &mut Vec::new(), &mut scratch, budget)
    }

    /// Judges the next level below the classes of `path`, which the rules in `held` grant together.
    fn descend(
        &mut self,
        held: &Row,
        path: &mut Vec<usize>,
        scratch: &mut [Row],
        budget: &mut Budget,
    ) -> Option<()> {
        let levels = self.levels;
        let Some(level) = levels.get(path.len()) else { return Some(()) };
        let (row, below) = scratch.split_first_mut()?;
        for (number, class) in level.classes.iter().enumerate() {
            budget.spend(self.words.max(1))?;
            path.push(number);
            if intersect(row, held, class.row) {
                self.descend(row, path, below, budget)?;
            } else {
                self.miss(level.axis, class, path, budget)?;
            }
            path.pop();
        }
        Some(())
    }

    /// Notes that nothing below `path` is covered.
    fn miss(
        &mut self,
        axis: Axis,
        class: &Class<'_>,
        path: &[usize],
        budget: &mut Budget,
    ) -> Option<()> {
        self.first.get_or_insert_with(|| (axis, class.places.first().copied()));
        let below = self.levels.iter().skip(path.len());
        let block: Block = path
            .iter()
            .map(|number| vec![*number])
            .chain(below.map(|level| (0..level.classes.len()).collect()))
            .collect();
        self.atoms = self.atoms.saturating_add(self.size(&block));
        if self.blocks.len() < MAX_BLOCKS {
            let length = block.iter().map(Vec::len).sum::<usize>();
            budget.spend(length.saturating_mul(self.blocks.len().max(1)))?;
            absorb(&mut self.blocks, block);
        }
        Some(())
    }

    fn size(&self, block: &Block) -> u64 {
        let level_size = |(level, numbers): (&Level<'_>, &Vec<usize>)| {
            let sizes = numbers.iter().filter_map(|number| level.classes.get(*number));
            sizes.map(Class::size).fold(0_u64, u64::saturating_add)
        };
        self.levels.iter().zip(block).map(level_size).fold(1, u64::saturating_mul)
    }

    /// Adds what was found to a gap.
    pub(super) fn report<'w>(&self, rule: &'w PolicyRule, gap: &mut Gap<'w>) {
        gap.atoms = gap.atoms.saturating_add(self.atoms);
        if let Some((axis, place)) = self.first.filter(|_| gap.field.is_empty()) {
            gap.field = match place {
                Some(place) => format!("{}[{place}]", axis.field()),
                None => axis.field().to_owned(),
            };
        }
        for block in &self.blocks {
            if gap.missing.len() < MAX_BLOCKS {
                gap.missing.push(self.texts(block, rule));
            }
        }
    }

    /// A block as texts of the rule, in its order.
    fn texts<'w>(&self, block: &Block, rule: &'w PolicyRule) -> Missing<'w> {
        let mut missing = Missing { atoms: self.size(block), ..Missing::default() };
        for (level, numbers) in self.levels.iter().zip(block) {
            let classes = numbers.iter().filter_map(|number| level.classes.get(*number));
            let mut places: Vec<usize> =
                classes.flat_map(|class| class.places.iter().copied()).collect();
            places.sort_unstable();
            let list = level.axis.list(rule);
            let told = missing.list_mut(level.axis);
            for text in places.into_iter().filter_map(|place| list.get(place)) {
                if told.len() < MAX_LISTED && !told.contains(&text.as_str()) {
                    told.push(text);
                }
            }
        }
        missing
    }
}

/// Writes the rules that both rows have; whether there are any.
fn intersect(into: &mut Row, left: &Row, right: &Row) -> bool {
    let mut any = 0;
    for (word, (left, right)) in into.iter_mut().zip(left.iter().zip(right)) {
        *word = left & right;
        any |= *word;
    }
    any != 0
}

/// Adds a block, joined with those that differ from it in one level only. Blocks never overlap, so the union stays exact.
fn absorb(blocks: &mut Vec<Block>, mut block: Block) {
    while let Some((at, level)) = blocks
        .iter()
        .enumerate()
        .find_map(|(at, other)| Some((at, only_difference(other, &block)?)))
    {
        let mut joined = blocks.remove(at);
        if let (Some(into), Some(more)) = (joined.get_mut(level), block.get(level)) {
            into.extend(more);
            into.sort_unstable();
        }
        block = joined;
    }
    blocks.push(block);
}

/// The one level in which two blocks differ.
fn only_difference(left: &Block, right: &Block) -> Option<usize> {
    let mut different =
        left.iter().zip(right).enumerate().filter(|(_, (left, right))| left != right);
    let (level, _) = different.next()?;
    different.next().is_none().then_some(level)
}

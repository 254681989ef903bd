//! How much memory decisions allocate. A program of its own, because counting slows down what is counted.

mod cases;
mod material;
mod report;

use allocation_counter::measure;
use cases::Input;
use material::Outcome;
use report::{Asked, Table};

const BYTES_PER_KB: f64 = 1_000.0;

fn main() -> Outcome<()> {
    let input = Input::prepare()?;
    let mut table = Table::new(&["Case", "Allocated, KB", "Allocations", "Most at once, KB"]);
    // Each case ran once before, so that what is made once and kept does not count.
    for case in cases::cases(&input)? {
        let counted = measure(|| {
            (case.run)();
        });
        let kb = |bytes: u64| u32::try_from(bytes).map(|bytes| f64::from(bytes) / BYTES_PER_KB);
        let (total, most) = (kb(counted.bytes_total)?, kb(counted.bytes_max)?);
        let count = counted.count_total.to_string();
        table.line(&[case.name, &format!("{total:.1}"), &count, &format!("{most:.1}")]);
    }
    let report = report::machine("One run of each case after a first.")? + &table.text();
    report::publish(Asked::of_arguments(), "allocations", &report)
}

//! Reads one number out of a Prometheus exposition, so that a test can say what was counted.

/// Names and values, all of which a sample has to carry.
type Labels<'a> = &'a [(&'a str, &'a str)];

/// The sum of the samples of `name` that carry all of `labels`; `None` when there is no such
/// sample (which is not the same as 0).
pub fn metric(exposition: &str, name: &str, labels: Labels<'_>) -> Option<f64> {
    exposition
        .lines()
        .filter_map(|line| sample(line, name, labels))
        .fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

fn sample(line: &str, name: &str, labels: Labels<'_>) -> Option<f64> {
    let rest = line.strip_prefix(name)?;
    let (block, value) = match rest.strip_prefix('{') {
        // A label's value may hold a brace or a space; the number after the block does not.
        Some(rest) => rest.rsplit_once("} ")?,
        None => ("", rest.strip_prefix(' ')?),
    };
    let block = format!(",{block}");
    let carries = |(key, value): &(&str, &str)| block.contains(&format!(",{key}=\"{value}\""));
    if !labels.iter().all(carries) {
        return None;
    }
    value.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Labels, metric};

    const TEXT: &str = "# HELP denials_total denials_total 9\n# TYPE denials_total counter\n\
        denials_total{rule=\"A\",kind=\"Pod {x} 7\"} 2\ndenials_total{rule=\"B\",kind=\"Pod\"} 3\n\
        denials_total{rule=\"B\",subkind=\"Job\"} 4 1700000000\ndenials_total_created 5\nup 1\n";

    #[test]
    fn sums_the_samples_that_carry_the_labels() {
        let cases: [(&str, Labels<'_>, Option<f64>); 8] = [
            ("up", &[], Some(1.0)),
            ("denials_total", &[], Some(9.0)),
            ("denials_total", &[("rule", "A")], Some(2.0)),
            ("denials_total", &[("rule", "B")], Some(7.0)),
            ("denials_total", &[("rule", "B"), ("kind", "Pod")], Some(3.0)),
            ("denials_total", &[("kind", "Job")], None),
            ("denials_total", &[("rule", "C")], None),
            ("denials", &[], None),
        ];
        for (name, labels, expected) in cases {
            assert_eq!(metric(TEXT, name, labels), expected, "{name} {labels:?}");
        }
    }
}

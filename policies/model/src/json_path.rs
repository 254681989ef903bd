//! JSONPath (RFC 9535) within bounds: a policy's expression can neither hang the parser nor the evaluation.
//!
//! The crate parses some expressions in exponential time and can return exponentially many results, so an expression is
//! checked before the crate sees it (length, nesting, one descendant step, no functions, few selectors, no absolute query inside a
//! filter), and a document has a visit budget. What passes a bound is an error, and an error denies.

use std::fmt;

use jsonpath_rust::parser::model::JpQuery;
use jsonpath_rust::parser::parse_json_path;
use jsonpath_rust::query::js_path_process;
use serde_json::Value;

/// Longest expression.
pub const EXPRESSION_BYTES_MAX: usize = 256;
/// Deepest nesting of brackets and parentheses.
pub const NESTING_MAX: usize = 8;
/// Descendant steps (`..`) in one expression.
pub const DESCENDANTS_MAX: usize = 1;
/// Product of the selector counts of all brackets: `['a','b'][0,1]` counts 4.
pub const SELECTIONS_MAX: usize = 32;
/// Values of a document times steps of an expression.
pub const VISITS_MAX: usize = 2_000_000;
/// Bytes of all the paths that an expression could write: a document can repeat one long member name in very many of them.
pub const PATH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Deepest document for an expression with a descendant step: the crate recurses.
pub const DESCENT_MAX: usize = 128;

/// An expression that is safe to evaluate.
#[derive(Clone)]
pub struct JsonPath {
    text: String,
    query: JpQuery,
    reach: Reach,
}

/// How far into a document an expression can look.
#[derive(Debug, Clone, Copy)]
struct Reach {
    /// How many steps it has at most.
    steps: usize,
    /// How often it can select one value.
    selections: usize,
    /// Whether the document says how many values a step selects: a wildcard, a slice, a filter or a descendant step.
    many: bool,
    descends: bool,
}

/// One selected value.
#[derive(Debug, Clone, PartialEq)]
pub struct Selected<'v> {
    /// Where it is, as users write it: `$.spec.containers[0].image`.
    pub path: String,
    /// The value.
    pub value: &'v Value,
}

/// Why an expression is refused or can't be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonPathError {
    /// Longer than [`EXPRESSION_BYTES_MAX`].
    #[error("expected at most {EXPRESSION_BYTES_MAX} bytes, found {0}")]
    TooLong(usize),
    /// Nested deeper than [`NESTING_MAX`].
    #[error("expected at most {NESTING_MAX} levels of brackets")]
    TooDeep,
    /// More than one descendant step.
    #[error("expected at most one descendant step `..`")]
    Descendants,
    /// A function call.
    #[error("functions are not available; use the rule's own operators")]
    Function,
    /// Brackets with too many selectors.
    #[error("expected at most {SELECTIONS_MAX} combined selectors")]
    Selections,
    /// `$` inside a filter.
    #[error("an absolute path inside a filter is not available; use `@`")]
    AbsoluteInFilter,
    /// Not JSONPath.
    #[error("not a JSONPath of RFC 9535: {0}")]
    Syntax(String),
    /// The document is too large for the expression.
    #[error("evaluating `{expression}` would visit more than {VISITS_MAX} values")]
    Budget {
        /// The expression.
        expression: String,
    },
    /// The document's member names are too long for the expression.
    #[error("evaluating `{expression}` would write more than {PATH_BYTES_MAX} bytes of paths")]
    Paths {
        /// The expression.
        expression: String,
    },
    /// The document is too deep for the expression.
    #[error("evaluating `{expression}` would descend more than {DESCENT_MAX} levels")]
    Depth {
        /// The expression.
        expression: String,
    },
}

impl JsonPath {
    /// Reads an expression.
    ///
    /// # Errors
    /// [`JsonPathError`] if it passes a bound or isn't JSONPath.
    pub fn parse(text: &str) -> Result<Self, JsonPathError> {
        let reach = bounds(text)?;
        let query =
            parse_json_path(text).map_err(|error| JsonPathError::Syntax(first_line(&error)))?;
        Ok(Self { text: text.to_owned(), query, reach })
    }

    /// The values that the expression selects in `document`.
    ///
    /// # Errors
    /// [`JsonPathError`] if that could take too long, or too much memory.
    pub fn select<'v>(&self, document: &'v Value) -> Result<Vec<Selected<'v>>, JsonPathError> {
        if self.reach.many {
            self.check(document)?;
        }
        let budget = |_| JsonPathError::Budget { expression: self.text.clone() };
        let found = js_path_process(&self.query, document).map_err(budget)?;
        Ok(found
            .into_iter()
            .map(|hit| Selected { path: friendly(&hit.clone().path()), value: hit.val() })
            .collect())
    }

    /// Whether evaluating stays within the bounds: counts the values that the expression can come to, and the bytes of their paths.
    fn check(&self, document: &Value) -> Result<(), JsonPathError> {
        let Reach { steps, selections, descends, .. } = self.reach;
        let expression = || self.text.clone();
        let nodes_max = VISITS_MAX.checked_div(steps).unwrap_or(VISITS_MAX);
        // The root is counted as a step.
        let levels = if descends { usize::MAX } else { steps.saturating_sub(1) };
        let (mut count, mut bytes) = (1_usize, 0_usize);
        let mut pending = vec![Node { value: document, level: 0, path_bytes: 1 }];
        while let Some(node) = pending.pop() {
            if descends && node.level > DESCENT_MAX {
                return Err(JsonPathError::Depth { expression: expression() });
            }
            let (children, below) = node.below();
            count = count.saturating_add(children);
            bytes = bytes.saturating_add(below.saturating_mul(selections));
            if count >= nodes_max {
                return Err(JsonPathError::Budget { expression: expression() });
            }
            if bytes > PATH_BYTES_MAX {
                return Err(JsonPathError::Paths { expression: expression() });
            }
            if node.level.saturating_add(1) < levels {
                node.descend(&mut pending);
            }
        }
        Ok(())
    }

    /// The expression as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first member that the expression names below the root, if it starts with one: `$.owner.x` starts with `owner`.
    #[must_use]
    pub fn first_member(&self) -> Option<&str> {
        let rest = self.text.strip_prefix('$')?;
        if let Some(quoted) = rest.strip_prefix("['") {
            return quoted.split('\'').next().filter(|name| !name.contains('\\'));
        }
        let name = rest.strip_prefix('.')?;
        let end = name.find(['.', '[', ' ']).unwrap_or(name.len());
        name.get(..end).filter(|name| !name.is_empty() && *name != "*")
    }
}

/// Checks the bounds without the crate; returns how far the expression reaches.
fn bounds(text: &str) -> Result<Reach, JsonPathError> {
    if text.len() > EXPRESSION_BYTES_MAX {
        return Err(JsonPathError::TooLong(text.len()));
    }
    let mut scan = Scan::default();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == '\'' || character == '"' {
            skip_string(&mut characters, character);
            scan.previous = character;
        } else {
            scan.see(character)?;
        }
    }
    if scan.product > SELECTIONS_MAX {
        return Err(JsonPathError::Selections);
    }
    let descends = scan.descendants > 0;
    let many = descends || scan.many || scan.filters > 0;
    Ok(Reach { steps: scan.steps.max(1), selections: scan.product.max(1), many, descends })
}

fn skip_string(characters: &mut std::str::Chars<'_>, quote: char) {
    while let Some(character) = characters.next() {
        if character == '\\' {
            characters.next();
        } else if character == quote {
            return;
        }
    }
}

struct Scan {
    previous: char,
    last_visible: char,
    depth: usize,
    descendants: usize,
    product: usize,
    selectors: usize,
    filters: usize,
    steps: usize,
    many: bool,
}

impl Default for Scan {
    fn default() -> Self {
        Self {
            previous: ' ',
            last_visible: ' ',
            depth: 0,
            descendants: 0,
            product: 1,
            selectors: 1,
            filters: 0,
            steps: 1,
            many: false,
        }
    }
}

impl Scan {
    fn see(&mut self, character: char) -> Result<(), JsonPathError> {
        match character {
            '[' | '(' => self.open(character)?,
            ']' | ')' => self.depth = self.depth.saturating_sub(1),
            ',' => {
                // Every further selector of a union multiplies the results of all steps after it.
                let others = self.product.checked_div(self.selectors).unwrap_or(1).max(1);
                self.selectors = self.selectors.saturating_add(1);
                self.product = others.saturating_mul(self.selectors);
            }
            '.' if self.previous == '.' => {
                self.descendants = self.descendants.saturating_add(1);
                if self.descendants > DESCENDANTS_MAX {
                    return Err(JsonPathError::Descendants);
                }
            }
            '.' => self.steps = self.steps.saturating_add(1),
            '*' | ':' => self.many = true,
            '?' => self.filters = self.filters.saturating_add(1),
            '$' if self.filters > 0 => return Err(JsonPathError::AbsoluteInFilter),
            _ => {}
        }
        self.previous = character;
        if !character.is_whitespace() {
            self.last_visible = character;
        }
        Ok(())
    }

    fn open(&mut self, character: char) -> Result<(), JsonPathError> {
        let name = |c: char| c.is_alphanumeric() || c == '_';
        if character == '(' && name(self.last_visible) {
            return Err(JsonPathError::Function);
        }
        self.depth = self.depth.saturating_add(1);
        if self.depth > NESTING_MAX {
            return Err(JsonPathError::TooDeep);
        }
        self.selectors = 1;
        self.steps = self.steps.saturating_add(1);
        Ok(())
    }
}

fn first_line(error: &impl fmt::Display) -> String {
    let text = error.to_string();
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    line.trim().trim_start_matches("= ").chars().take(120).collect()
}

/// A value that an expression can come to.
struct Node<'v> {
    value: &'v Value,
    level: usize,
    path_bytes: usize,
}

/// `['` and `']` around a name, or brackets around an index.
const STEP_BYTES: usize = 4;
/// An index with its brackets: as many digits as a list in memory can need.
const INDEX_BYTES: usize = 10;

impl<'v> Node<'v> {
    /// How many values are right below, and how many bytes their paths have.
    fn below(&self) -> (usize, usize) {
        let all = |count: usize| count.saturating_mul(self.path_bytes.saturating_add(INDEX_BYTES));
        match self.value {
            Value::Array(items) => (items.len(), all(items.len())),
            Value::Object(members) => {
                let names: usize = members.keys().map(String::len).sum();
                (members.len(), all(members.len()).saturating_add(names))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (0, 0),
        }
    }

    /// The objects and lists below; iterative, because documents may be deep.
    fn descend(&self, pending: &mut Vec<Node<'v>>) {
        let level = self.level.saturating_add(1);
        let holds = |value: &Value| value.is_array() || value.is_object();
        match self.value {
            Value::Array(items) => {
                let path_bytes = self.path_bytes.saturating_add(INDEX_BYTES);
                let holding = items.iter().filter(|value| holds(value));
                pending.extend(holding.map(|value| Node { value, level, path_bytes }));
            }
            Value::Object(members) => {
                let own = self.path_bytes.saturating_add(STEP_BYTES);
                let holding = members.iter().filter(|(_, value)| holds(value));
                pending.extend(holding.map(|(name, value)| Node {
                    value,
                    level,
                    path_bytes: own.saturating_add(name.len()),
                }));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// Turns `$['spec']['containers'][0]` into `$.spec.containers[0]`, leaving odd names in brackets.
fn friendly(normalized: &str) -> String {
    let mut path = String::with_capacity(normalized.len());
    let mut rest = normalized;
    while let Some((before, after)) = rest.split_once("['") {
        let Some((name, tail)) = after.split_once("']") else { break };
        path.push_str(before);
        push_member(&mut path, name);
        rest = tail;
    }
    path.push_str(rest);
    path
}

/// Appends a member to a JSON path: `.name` where that is plain, `['name']` otherwise.
pub fn push_member(path: &mut String, name: &str) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let starts_plain = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    if starts_plain && name.bytes().all(plain) {
        path.push('.');
        path.push_str(name);
    } else {
        path.push_str("['");
        path.push_str(name);
        path.push_str("']");
    }
}

impl fmt::Debug for JsonPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "JsonPath({})", self.text)
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl PartialEq for JsonPath {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selects_with_readable_paths() {
        let document = json!({
            "spec": {"containers": [{"image": "a"}, {"image": "b", "x-y": 1}]},
            "metadata": {"annotations": {"a.b/c": "v"}},
        });
        let cases: &[(&str, &[&str])] = &[
            (
                "$.spec.containers[*].image",
                &["$.spec.containers[0].image", "$.spec.containers[1].image"],
            ),
            ("$.metadata.annotations['a.b/c']", &["$.metadata.annotations['a.b/c']"]),
            ("$..image", &["$.spec.containers[0].image", "$.spec.containers[1].image"]),
            ("$.spec.containers[?@.image == 'b'].image", &["$.spec.containers[1].image"]),
            ("$.spec.containers[1]['x-y']", &["$.spec.containers[1]['x-y']"]),
            ("$.none", &[]),
        ];
        for (expression, expected) in cases {
            let path = JsonPath::parse(expression).expect(expression);
            let found: Vec<String> =
                path.select(&document).expect(expression).into_iter().map(|hit| hit.path).collect();
            assert_eq!(&found, expected, "{expression}");
        }
    }

    #[test]
    fn bounds_hold_before_the_crate_sees_the_expression() {
        use JsonPathError as E;
        let nested = format!("$[?{}@.a{}]", "(".repeat(9), ")".repeat(9));
        let unions = format!("${}", "[0,0]".repeat(50));
        let long = format!("$.{}", "a".repeat(300));
        let cases = [
            (long.as_str(), E::TooLong(302)),
            (nested.as_str(), E::TooDeep),
            ("$..a..b", E::Descendants),
            ("$[?length(@.a) > 1]", E::Function),
            ("$[?match (@.a, 'x')]", E::Function),
            (unions.as_str(), E::Selections),
            ("$[?@.a == $.b]", E::AbsoluteInFilter),
        ];
        for (expression, expected) in cases {
            assert_eq!(JsonPath::parse(expression), Err(expected), "{expression}");
        }
        for bad in ["", "spec", "$.", "$[", "$['a"] {
            assert!(matches!(JsonPath::parse(bad), Err(E::Syntax(_))), "{bad}");
        }
    }

    #[test]
    fn brackets_in_strings_are_text() {
        let path = JsonPath::parse("$['[(([[[[[[[[[(..$..,,']").expect("a string");
        let document = json!({"[(([[[[[[[[[(..$..,,": 1});
        assert_eq!(path.select(&document).expect("within budget").len(), 1);
    }

    #[test]
    fn a_large_document_is_refused_not_walked() {
        let document = Value::Array(vec![json!(1); VISITS_MAX / 2]);
        let path = JsonPath::parse("$.a.b.c[*]").expect("an expression");
        assert!(matches!(path.select(&document), Err(JsonPathError::Budget { .. })));
    }

    #[test]
    fn long_names_and_deep_documents_are_refused_where_the_expression_comes_to_them() {
        use serde_json::Map;
        let list = Value::Array(vec![json!({"a": 1}); 1_000]);
        let long = Value::Object(Map::from_iter([("k".repeat(60_000), list)]));
        let deep = (0..=DESCENT_MAX).fold(json!({"a": 1}), |below, _| json!([below]));
        let select = |text: &str, document: &Value| {
            let found = JsonPath::parse(text).expect(text).select(document);
            found.map(|found| found.len())
        };
        for many in ["$..a", "$.*[*].a", "$.*[0:].a", "$[*][?@.a == 1]"] {
            assert!(matches!(select(many, &long), Err(JsonPathError::Paths { .. })), "{many}");
        }
        assert!(matches!(select("$..a", &deep), Err(JsonPathError::Depth { .. })));
        for one in ["$.a", "$.*", "$.a[*]"] {
            assert!(select(one, &deep).is_ok(), "{one}");
        }
        assert_eq!(select("$.a.b", &long), Ok(0));
        assert_eq!(select("$.*", &long), Ok(1));
    }

    #[test]
    fn first_members() {
        let first =
            |text: &str| JsonPath::parse(text).expect(text).first_member().map(str::to_owned);
        assert_eq!(first("$.owner"), Some("owner".to_owned()));
        assert_eq!(first("$.files[*].path"), Some("files".to_owned()));
        assert_eq!(first("$['a b'].c"), Some("a b".to_owned()));
        assert_eq!(first("$..a"), None);
        assert_eq!(first("$.*"), None);
    }
}

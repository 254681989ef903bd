//! YAML text to located nodes. Bounded: size, depth, and nodes after aliases are expanded.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};
use serde_json::Number;

use super::{Content, DocumentError, Member, Node, Position};

/// Largest file that is read.
pub const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Deepest nesting.
pub const DEPTH_MAX: usize = 100;
/// Most values in a file, aliases expanded.
pub const NODES_MAX: usize = 2_000_000;

/// How plain scalars are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// YAML 1.2; words and numbers that other readers take for something else must be quoted.
    Policy,
    /// As kubectl reads manifests (sigs.k8s.io/yaml): `yes`, `no`, `on` and `off` are booleans, `0644` is octal.
    Manifest,
}

/// Reads all documents of a file, empty ones left out.
///
/// # Errors
/// [`DocumentError`] for syntax errors, duplicate keys and passed bounds.
pub fn read(file: &str, text: &str, dialect: Dialect) -> Result<Vec<Node>, DocumentError> {
    let start = Position { line: 1, column: 1 };
    let fail = |at, message: String| DocumentError {
        file: file.to_owned(),
        at,
        path: String::new(),
        message,
    };
    if text.len() > DOCUMENT_BYTES_MAX {
        let found = text.len();
        return Err(fail(
            start,
            format!("expected at most {DOCUMENT_BYTES_MAX} bytes, found {found}"),
        ));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        dialect,
        anchors: HashMap::new(),
        nodes_left: NODES_MAX,
    };
    reader.stream().map_err(|fault| fail(fault.at, fault.message))
}

struct Fault {
    at: Position,
    message: String,
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    dialect: Dialect,
    anchors: HashMap<usize, Node>,
    nodes_left: usize,
}

type Next<'t> = (Event<'t>, Position);

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<Next<'t>, Fault> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, position(&span))),
            Some(Err(error)) => {
                let at = Position {
                    line: narrow(error.marker().line()),
                    column: narrow(error.marker().col()).saturating_add(1),
                };
                Err(Fault { at, message: format!("not YAML: {}", error.info()) })
            }
            None => Err(Fault { at: Position::default(), message: "unexpected end".to_owned() }),
        }
    }

    fn stream(&mut self) -> Result<Vec<Node>, Fault> {
        let mut documents = Vec::new();
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(documents),
                (Event::DocumentStart(_), _) => {
                    self.anchors.clear();
                    let first = self.next()?;
                    let node = self.node(first, DEPTH_MAX)?;
                    if node.content != Content::Null {
                        documents.push(node);
                    }
                }
                _ => {}
            }
        }
    }

    fn node(&mut self, (event, at): Next<'t>, depth_left: usize) -> Result<Node, Fault> {
        let depth_left = depth_left
            .checked_sub(1)
            .ok_or_else(|| Fault { at, message: format!("nested deeper than {DEPTH_MAX}") })?;
        self.spend(1, at)?;
        let (content, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tagged_text = tag.is_some_and(|tag| tag.suffix == "str");
                (self.scalar(&text, style, tagged_text, at)?, anchor)
            }
            Event::SequenceStart(anchor, _) => (self.sequence(depth_left)?, anchor),
            Event::MappingStart(anchor, _) => (self.mapping(depth_left)?, anchor),
            Event::Alias(anchor) => return self.alias(anchor, at),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => (Content::Null, 0),
        };
        let node = Node { at, content };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn spend(&mut self, nodes: usize, at: Position) -> Result<(), Fault> {
        self.nodes_left = self
            .nodes_left
            .checked_sub(nodes)
            .ok_or_else(|| Fault { at, message: format!("more than {NODES_MAX} values") })?;
        Ok(())
    }

    fn alias(&mut self, anchor: usize, at: Position) -> Result<Node, Fault> {
        let node = self.anchors.get(&anchor).cloned();
        let node = node.ok_or_else(|| Fault { at, message: "unknown anchor".to_owned() })?;
        self.spend(size(&node), at)?;
        Ok(node)
    }

    fn sequence(&mut self, depth_left: usize) -> Result<Content, Fault> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Content::Sequence(items)),
                event => items.push(self.node(event, depth_left)?),
            }
        }
    }

    fn mapping(&mut self, depth_left: usize) -> Result<Content, Fault> {
        let mut members: Vec<Member> = Vec::new();
        let mut seen = HashSet::new();
        let mut merged = Vec::new();
        loop {
            let (event, at) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let Event::Scalar(key, ..) = event else {
                return Err(Fault { at, message: "expected a plain key".to_owned() });
            };
            let key = key.into_owned();
            let next = self.next()?;
            let value = self.node(next, depth_left)?;
            if key == "<<" {
                merged.push(value);
            } else if seen.insert(key.clone()) {
                members.push(Member { at, key, value });
            } else {
                return Err(Fault { at, message: format!("duplicate key `{key}`") });
            }
        }
        merge(&mut members, merged);
        Ok(Content::Mapping(members))
    }

    fn scalar(
        &self,
        text: &str,
        style: ScalarStyle,
        tagged_text: bool,
        at: Position,
    ) -> Result<Content, Fault> {
        if style != ScalarStyle::Plain || tagged_text {
            return Ok(Content::Text(text.to_owned()));
        }
        let number = plain_number(text, self.dialect);
        Ok(match (text, word(text), number) {
            ("" | "~" | "null" | "Null" | "NULL", _, _) => Content::Null,
            ("true" | "True" | "TRUE", _, _) => Content::Bool(true),
            ("false" | "False" | "FALSE", _, _) => Content::Bool(false),
            (_, Some(value), _) if self.dialect == Dialect::Manifest => Content::Bool(value),
            (_, Some(_), _) => {
                let message = format!(
                    "`{text}` is read as a boolean by some; quote it or write true or false"
                );
                return Err(Fault { at, message });
            }
            (_, None, Some(number)) => Content::Number(number),
            (_, None, None) => Content::Text(text.to_owned()),
        })
    }
}

/// The words that YAML 1.1 reads as booleans beside `true` and `false`.
fn word(text: &str) -> Option<bool> {
    match text {
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

fn plain_number(text: &str, dialect: Dialect) -> Option<Number> {
    let digits = text.trim_start_matches(['-', '+']);
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    let radix = |prefix: &str, radix: u32| {
        digits.strip_prefix(prefix).and_then(|rest| i64::from_str_radix(rest, radix).ok())
    };
    let sign = |value: i64| if text.starts_with('-') { value.checked_neg() } else { Some(value) };
    if let Some(value) = radix("0x", 16).or_else(|| radix("0o", 8)).and_then(sign) {
        return Some(Number::from(value));
    }
    if digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()) {
        let octal = i64::from_str_radix(digits, 8).ok().and_then(sign);
        return octal.filter(|_| dialect == Dialect::Manifest).map(Number::from);
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    if let Ok(value) = text.parse::<i64>() {
        return Some(Number::from(value));
    }
    if let Ok(value) = text.parse::<u64>() {
        return Some(Number::from(value));
    }
    let float = |byte: u8| byte.is_ascii_digit() || b".eE+-".contains(&byte);
    let looks_float = text.bytes().all(float) && text.bytes().any(|byte| byte.is_ascii_digit());
    text.parse::<f64>().ok().filter(|_| looks_float).and_then(Number::from_f64)
}

/// YAML 1.1 merge keys: members that are not there yet, the first source first.
fn merge(members: &mut Vec<Member>, sources: Vec<Node>) {
    let mut pending = sources;
    pending.reverse();
    while let Some(source) = pending.pop() {
        match source.content {
            Content::Mapping(more) => {
                for member in more {
                    if !members.iter().any(|present| present.key == member.key) {
                        members.push(member);
                    }
                }
            }
            Content::Sequence(list) => pending.extend(list.into_iter().rev()),
            Content::Null | Content::Bool(_) | Content::Number(_) | Content::Text(_) => {}
        }
    }
}

fn size(node: &Node) -> usize {
    let below: usize = match &node.content {
        Content::Sequence(items) => items.iter().map(size).fold(0, usize::saturating_add),
        Content::Mapping(members) => {
            members.iter().map(|member| size(&member.value)).fold(0, usize::saturating_add)
        }
        Content::Null | Content::Bool(_) | Content::Number(_) | Content::Text(_) => 0,
    };
    below.saturating_add(1)
}

fn position(span: &Span) -> Position {
    Position { line: narrow(span.start.line()), column: narrow(span.start.col()).saturating_add(1) }
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

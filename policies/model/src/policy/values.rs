//! Values that policies write as text and rules use ready-made: patterns, paths, networks, sizes, and tests of a value.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use jiff::civil::Date;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::host::HostPattern;
use crate::json_path::JsonPath;
use crate::pattern::Pattern;

/// A part of the format that this version does not enforce. Present, it is an error: a limit that is ignored is a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unenforced {}

impl<'de> Deserialize<'de> for Unenforced {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        let text = "is part of the format, but this version does not enforce it, so it is refused rather than ignored; take it out";
        Err(serde::de::Error::custom(text))
    }
}

impl JsonSchema for Unenforced {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Unenforced")
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"not": {}, "description": "Not enforced by this version, and refused."})
    }
}

/// Reads a text with a parser that says what is wrong.
fn parse_text<'de, D, T, E>(
    deserializer: D,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    E: fmt::Display,
{
    let text = String::deserialize(deserializer)?;
    parse(&text).map_err(|error| serde::de::Error::custom(format_args!("`{text}`: {error}")))
}

macro_rules! text_value {
    ($(#[$doc:meta])* $name:ident($inner:ty), $parse:expr, $schema:tt) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name(pub $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                parse_text(deserializer, $parse).map(Self)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

text_value!(
    /// A host pattern.
    HostText(HostPattern), HostPattern::parse,
    {"type": "string", "description": "A name, `*.suffix` for one label more, `**.suffix` for one or more."}
);
text_value!(
    /// A glob over slash-separated text.
    PathGlob(Pattern), Pattern::path_glob,
    {"type": "string", "maxLength": 512, "description": "A glob: `*` within a segment, `**` across segments, `?` one character."}
);
text_value!(
    /// A glob over a name.
    NameGlob(Pattern), Pattern::name_glob,
    {"type": "string", "maxLength": 512, "description": "A glob: `*` any characters, `?` one."}
);
text_value!(
    /// An anchored regular expression.
    Expression(Pattern), Pattern::expression,
    {"type": "string", "maxLength": 512, "description": "A regular expression that must match the whole text; linear time."}
);
text_value!(
    /// A bounded JSONPath.
    JsonPathText(JsonPath), JsonPath::parse,
    {"type": "string", "maxLength": 256, "description": "JSONPath (RFC 9535): at most one `..`, no functions."}
);
text_value!(
    /// An address range.
    CidrText(IpNet), parse_network,
    {"type": "string", "description": "An address range such as `10.20.0.0/16`; host bits are zero."}
);
text_value!(
    /// A day.
    DateText(Date), parse_date,
    {"type": "string", "format": "date"}
);
text_value!(
    /// A number of bytes.
    ByteSize(u64), parse_bytes,
    {"type": "string", "description": "Bytes: a number with an optional suffix Ki, Mi, Gi."}
);

text_value!(
    /// A DNS server.
    ResolverText(SocketAddr), parse_resolver,
    {"type": "string", "description": "A DNS server: `10.96.0.10:53` or `[fd00::a]:53`; never one of the pod's own loopback."}
);
text_value!(
    /// A number of events per time.
    RateText(Rate), parse_rate,
    {"type": "string", "description": "A rate: a number, a slash, and `s`, `m`, `h` or `d`, such as `50/s`."}
);
text_value!(
    /// A length of time.
    TimeSpan(Duration), parse_time_span,
    {"type": "string", "description": "A length of time: a number and `ms`, `s`, `m`, `h` or `d`, such as `30s`."}
);

/// So many events in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Events; at least 1.
    pub events: u32,
    /// In this time.
    pub per: Duration,
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, per } = self;
        match per.as_secs() {
            1 => write!(formatter, "{events}/s"),
            60 => write!(formatter, "{events}/m"),
            3_600 => write!(formatter, "{events}/h"),
            86_400 => write!(formatter, "{events}/d"),
            _ => write!(formatter, "{events} in {per:?}"),
        }
    }
}

/// Longest time span of a policy, in days.
const TIME_SPAN_DAYS_MAX: u64 = 366;

/// A server that can be somebody else's. Whoever answers for names chooses where `tls` rules lead, and on loopback that would be the agent.
fn parse_resolver(text: &str) -> Result<SocketAddr, &'static str> {
    let server: SocketAddr = text
        .parse()
        .map_err(|_| "expected an address and a port such as `10.96.0.10:53` or `[fd00::a]:53`")?;
    let address = server.ip().to_canonical();
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    if address.is_loopback() || address.is_unspecified() {
        return Err("is the pod itself, where agents could answer; on a laptop say `--resolver`");
    }
    if address.is_multicast() || broadcast || server.port() == 0 {
        return Err("expected the address and port of one server");
    }
    Ok(SocketAddr::new(address, server.port()))
}

fn seconds_of(unit: &str) -> Option<u64> {
    match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3_600),
        "d" => Some(86_400),
        _ => None,
    }
}

fn parse_rate(text: &str) -> Result<Rate, &'static str> {
    const EXPECTED: &str = "expected a rate such as `50/s`, `5/m`, `5/h` or `100/d`";
    let (events, unit) = text.split_once('/').ok_or(EXPECTED)?;
    let per = seconds_of(unit).map(Duration::from_secs).ok_or(EXPECTED)?;
    let events = events.parse().ok().filter(|events| *events > 0).ok_or(EXPECTED)?;
    Ok(Rate { events, per })
}

fn parse_time_span(text: &str) -> Result<Duration, &'static str> {
    const EXPECTED: &str = "expected a time such as `500ms`, `30s`, `5m` or `1h`, at most 366 days";
    let at = text.find(|character: char| !character.is_ascii_digit()).ok_or(EXPECTED)?;
    let (digits, unit) = text.split_at(at);
    let number: u64 = digits.parse().ok().filter(|number| *number > 0).ok_or(EXPECTED)?;
    let span = match unit {
        "ms" => Some(Duration::from_millis(number)),
        unit => seconds_of(unit).and_then(|unit| number.checked_mul(unit)).map(Duration::from_secs),
    };
    let most = Duration::from_secs(TIME_SPAN_DAYS_MAX.saturating_mul(86_400));
    span.filter(|span| *span <= most).ok_or(EXPECTED)
}

fn parse_network(text: &str) -> Result<IpNet, &'static str> {
    let network: IpNet =
        text.parse().map_err(|_| "expected an address range such as `10.20.0.0/16`")?;
    if network != network.trunc() {
        return Err("the address has bits beyond its prefix length");
    }
    Ok(network)
}

fn parse_date(text: &str) -> Result<Date, &'static str> {
    text.parse().map_err(|_| "expected a day such as `2027-01-31`")
}

fn parse_bytes(text: &str) -> Result<u64, &'static str> {
    let units = [("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30)];
    let unit = units
        .into_iter()
        .find_map(|(suffix, factor)| text.strip_suffix(suffix).map(|digits| (digits, factor)));
    let (digits, factor) = unit.unwrap_or((text, 1_u64));
    let number: Option<u64> = digits.parse().ok();
    number
        .and_then(|number| number.checked_mul(factor))
        .ok_or("expected a number of bytes such as `4Mi`")
}

/// The JSON types that a rule can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JsonType {
    /// Text.
    String,
    /// Any number.
    Number,
    /// A number without a fraction.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A list.
    Array,
    /// An object.
    Object,
    /// `null`.
    Null,
}

impl JsonType {
    /// Whether a value is of this type.
    #[must_use]
    pub fn is(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Number => value.is_number(),
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::Boolean => value.is_boolean(),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
            Self::Null => value.is_null(),
        }
    }
}

/// A test of one selected value. Tests are total: a value of another type than a test can look at fails it.
#[derive(Debug, Clone, PartialEq)]
pub enum ValueTest {
    /// Equal.
    Equals(Value),
    /// One of these.
    In(Vec<Value>),
    /// A scalar, and none of these.
    NotIn(Vec<Value>),
    /// Text that matches an expression.
    Matches(Pattern),
    /// Text that matches a glob.
    Glob(Pattern),
    /// Text that starts so.
    StartsWith(String),
    /// Text that ends so.
    EndsWith(String),
    /// A number of at least this.
    Min(f64),
    /// A number of at most this.
    Max(f64),
    /// Text of at most so many characters, or a list of at most so many items.
    MaxLength(usize),
    /// Of this type.
    Type(JsonType),
    /// There (`true`) or not there (`false`).
    Exists(bool),
    /// A URL or host that the egress rules allow; the engine judges it.
    Host,
    /// A relative path that stays below its root, in one spelling.
    PathSafe,
}

impl ValueTest {
    /// Whether a value passes. `Exists` passes for any value if true; `Host` fails here, because it needs the egress rules.
    #[must_use]
    pub fn holds(&self, value: &Value) -> bool {
        let text = |test: &dyn Fn(&str) -> bool| value.as_str().is_some_and(test);
        match self {
            Self::Equals(expected) => value == expected,
            Self::In(list) => list.contains(value),
            Self::NotIn(list) => is_scalar(value) && !list.contains(value),
            Self::Matches(pattern) | Self::Glob(pattern) => text(&|text| pattern.matches(text)),
            Self::StartsWith(start) => text(&|text| text.starts_with(start)),
            Self::EndsWith(end) => text(&|text| text.ends_with(end)),
            Self::Min(bound) => value.as_f64().is_some_and(|number| number >= *bound),
            Self::Max(bound) => value.as_f64().is_some_and(|number| number <= *bound),
            Self::MaxLength(length) => match value {
                Value::String(text) => text.chars().count() <= *length,
                Value::Array(items) => items.len() <= *length,
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
            },
            Self::Type(kind) => kind.is(value),
            Self::Exists(expected) => *expected,
            Self::Host => false,
            Self::PathSafe => text(&is_path_safe),
        }
    }

    /// What the test asks for, in words for messages.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Equals(value) => format!("`{value}`"),
            Self::In(list) => format!("one of {}", show(list)),
            Self::NotIn(list) => format!("none of {}", show(list)),
            Self::Matches(pattern) => format!("text that matches `{pattern}`"),
            Self::Glob(pattern) => format!("text like `{pattern}`"),
            Self::StartsWith(start) => format!("text that starts with `{start}`"),
            Self::EndsWith(end) => format!("text that ends with `{end}`"),
            Self::Min(bound) => format!("a number of at least {bound}"),
            Self::Max(bound) => format!("a number of at most {bound}"),
            Self::MaxLength(length) => format!("a length of at most {length}"),
            Self::Type(kind) => format!("a value of type {kind:?}").to_lowercase(),
            Self::Exists(true) => "a value".to_owned(),
            Self::Exists(false) => "no value".to_owned(),
            Self::Host => "a host that the egress rules allow".to_owned(),
            Self::PathSafe => {
                "a relative path without `..`, `//`, backslashes or encodings".to_owned()
            }
        }
    }
}

fn is_scalar(value: &Value) -> bool {
    !value.is_array() && !value.is_object()
}

fn show(list: &[Value]) -> String {
    const SHOWN_MAX: usize = 8;
    let shown: Vec<String> =
        list.iter().take(SHOWN_MAX).map(|value| format!("`{value}`")).collect();
    let rest = list.len().saturating_sub(shown.len());
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

/// Whether a text is a relative path in one spelling that can't leave its root (rows 94 and 96 of the attack table).
fn is_path_safe(path: &str) -> bool {
    let odd =
        |character: char| character.is_control() || matches!(character, '\\' | '%' | '~' | ':');
    let whole = |segment: &str| {
        !segment.is_empty() && segment != "." && segment != ".." && segment.trim() == segment
    };
    path.is_ascii() && !path.contains(odd) && path.split('/').all(whole)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tests_are_total() {
        let glob = |text: &str| ValueTest::Glob(Pattern::path_glob(text).expect("a glob"));
        let cases = [
            (ValueTest::Equals(json!("a")), json!("a"), true),
            (ValueTest::Equals(json!(1)), json!("1"), false),
            (ValueTest::In(vec![json!("a"), json!(2)]), json!(2), true),
            (ValueTest::In(vec![json!("a")]), json!(["a"]), false),
            (ValueTest::NotIn(vec![json!("a")]), json!("b"), true),
            (ValueTest::NotIn(vec![json!("a")]), json!("a"), false),
            (ValueTest::NotIn(vec![json!("a")]), json!(["a"]), false),
            (glob("src/**"), json!("src/a/b"), true),
            (glob("src/**"), json!(5), false),
            (ValueTest::StartsWith("x".to_owned()), json!("xy"), true),
            (ValueTest::EndsWith("y".to_owned()), json!("xy"), true),
            (ValueTest::EndsWith("y".to_owned()), json!(null), false),
            (ValueTest::Min(2.0), json!(2), true),
            (ValueTest::Min(2.0), json!("3"), false),
            (ValueTest::Max(2.0), json!(2.5), false),
            (ValueTest::MaxLength(2), json!("\u{e9}\u{e9}"), true),
            (ValueTest::MaxLength(2), json!([1, 2, 3]), false),
            (ValueTest::MaxLength(2), json!({}), false),
            (ValueTest::Type(JsonType::Integer), json!(1.5), false),
            (ValueTest::Type(JsonType::Integer), json!(15), true),
            (ValueTest::Host, json!("example.com"), false),
        ];
        for (test, value, expected) in cases {
            assert_eq!(test.holds(&value), expected, "{test:?} {value}");
        }
    }

    #[test]
    fn rates_and_times() {
        let rate = |events, seconds| Ok(Rate { events, per: Duration::from_secs(seconds) });
        assert_eq!(parse_rate("50/s"), rate(50, 1));
        assert_eq!(parse_rate("5/h"), rate(5, 3_600));
        for wrong in ["", "5", "0/s", "-1/s", "5/", "5/w", "5 /s", "1.5/s"] {
            assert!(parse_rate(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_time_span("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_time_span("2d"), Ok(Duration::from_secs(172_800)));
        for wrong in ["", "5", "0s", "-1s", "s", "5w", "367d", "99999999999999999999s"] {
            assert!(parse_time_span(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn safe_paths() {
        for safe in ["a", "src/main.rs", "a-b/c_d/.hidden", "a b/c"] {
            assert!(ValueTest::PathSafe.holds(&json!(safe)), "{safe}");
        }
        let unsafe_paths = [
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a/./b",
            "a//b",
            "a/",
            "a\\b",
            "a%2fb",
            "~/x",
            "C:/x",
            "a\0b",
            "a/ ..",
            "a\n",
            "a/\u{2024}\u{2024}/b",
        ];
        for path in unsafe_paths {
            assert!(!ValueTest::PathSafe.holds(&json!(path)), "{path:?}");
        }
    }

    #[test]
    fn sizes_and_networks() {
        assert_eq!(parse_bytes("4Mi"), Ok(4 << 20));
        assert_eq!(parse_bytes("17"), Ok(17));
        for bad in ["", "Mi", "-1", "1.5Gi", "99999999999Gi", "1Xi"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
        assert!(parse_network("10.0.0.1/8").is_err());
        assert!(parse_network("10.0.0.0/8").is_ok());
    }
}

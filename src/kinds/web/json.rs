//! Values in a JSON answer: where they are, and what they must be.

use regex_lite::Regex;
use serde_json::Value as Json;
use serde_json_path::JsonPath;

use super::{
    Wrong,
    template::{Values, fill_json, names_in},
};
use crate::{
    base::{bounded, clean_line},
    runbook::value::{self, Entry, Value},
};

/// Where a value is.
#[derive(Debug, Clone)]
pub(in crate::kinds) enum Path {
    /// RFC 9535, where it begins with `$`.
    Query(Box<JsonPath>),
    /// `a.b[0].c`, or a JSON pointer (RFC 6901) where it begins with `/`.
    Plain(String),
}

impl Path {
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.starts_with('$') {
            let path = JsonPath::parse(text).map_err(|e| clean_line(&e.to_string(), 200))?;
            return Ok(Self::Query(Box::new(path)));
        }
        Ok(Self::Plain(text.to_owned()))
    }

    /// What stands there; a query may find several.
    pub fn find<'j>(&self, json: &'j Json) -> Vec<&'j Json> {
        match self {
            Self::Query(path) => path.query(json).all(),
            Self::Plain(path) => at(json, path).into_iter().collect(),
        }
    }
}

/// The value at a path. A whole key wins over its parts.
fn at<'j>(json: &'j Json, path: &str) -> Option<&'j Json> {
    if path.starts_with('/') {
        return json.pointer(path);
    }
    if let Some(found) = json.get(path) {
        return Some(found);
    }
    let mut here = json;
    for part in path.split('.') {
        let (key, mut rest) = part.split_at(part.find('[').unwrap_or(part.len()));
        if !key.is_empty() {
            here = here.get(key)?;
        }
        while let Some((index, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            here = here.get(index.parse::<usize>().ok()?)?;
            rest = after;
        }
        if !rest.is_empty() {
            return None;
        }
    }
    Some(here)
}

/// What must be so at a path.
#[derive(Debug, Clone)]
pub(in crate::kinds) struct Claim {
    written: String,
    path: Path,
    must: Vec<Must>,
}

#[derive(Debug, Clone)]
enum Must {
    Equal(Json),
    Differ(Json),
    AtLeast(f64),
    AtMost(f64),
    Match(Regex),
    Contain(Json),
    Type(&'static str),
    Size(usize),
    Count(usize),
    Exist(bool),
}

/// The types of JSON, and whole numbers apart.
const TYPES: [&str; 7] = ["null", "boolean", "number", "integer", "string", "array", "object"];
/// What a claim's table may say.
const SAYS: &str = "equals, not, min, max, matches, contains, type, size, count, exists";

impl Claim {
    pub fn read(entry: &Entry) -> Result<Self, Wrong> {
        let path = Path::new(&entry.key).map_err(|why| {
            let shown = clean_line(&entry.key, 60);
            Wrong::new(entry.key_span.clone(), format!("`{shown}` is no JSON path: {why}"), "does not parse")
        })?;
        let must = match &entry.value.kind {
            value::Kind::Table(table) if !table.entries.is_empty() => {
                table.entries.iter().map(Must::read).collect::<Result<_, _>>()?
            }
            _ => vec![Must::Equal(json_of(&entry.value).ok_or_else(|| {
                let message =
                    format!("`{}` must be text, a number, true or false, or a list", clean_line(&entry.key, 60));
                Wrong::new(entry.value.span.clone(), message, "cannot be compared")
            })?)],
        };
        Ok(Self { written: entry.key.clone(), path, must })
    }

    /// Names of the values that it is filled with.
    pub fn names(&self) -> Vec<String> {
        let names = |must: &Must| match must {
            Must::Equal(json) | Must::Differ(json) | Must::Contain(json) => names_in(json),
            _ => Vec::new(),
        };
        self.must.iter().flat_map(names).collect()
    }

    /// Nothing, or what is wrong.
    pub fn judge(&self, body: &Json, values: &Values) -> Option<String> {
        let found = self.path.find(body);
        for must in &self.must {
            let missing = match must {
                Must::Exist(wanted) if *wanted != found.is_empty() => continue,
                Must::Exist(true) => Some("is missing".to_owned()),
                Must::Exist(false) => Some(format!("is there: {}", shown(found.first().copied()))),
                Must::Count(wanted) if found.len() == *wanted => continue,
                Must::Count(wanted) => Some(format!("is there {} times, expected {wanted}", found.len())),
                _ if found.is_empty() => Some(format!("is missing, expected {}", must.words())),
                _ => None,
            };
            let wrong = missing.or_else(|| {
                let odd = found.iter().find(|one| !must.fits(one, values))?;
                Some(format!("is {}, expected {}", shown(Some(odd)), must.filled(values)))
            });
            if let Some(wrong) = wrong {
                return Some(format!("{} {wrong}", bounded(&self.written, 120)));
            }
        }
        None
    }

    pub fn words(&self) -> String {
        let must = self.must.iter().map(|must| match must {
            Must::Equal(json) => format!("= {json}"),
            other => other.words(),
        });
        format!("{} {}", bounded(&self.written, 80), must.collect::<Vec<_>>().join(", "))
    }
}

fn shown(json: Option<&Json>) -> String {
    json.map_or_else(|| "missing".to_owned(), |json| bounded(&json.to_string(), 120))
}

impl Must {
    fn read(entry: &Entry) -> Result<Self, Wrong> {
        let wrong = |what: &str| {
            let message = format!("`{}` must be {what}", entry.key);
            Wrong::new(entry.value.span.clone(), message, "not what it takes")
        };
        let count = || match entry.value.kind {
            value::Kind::Int(n) => usize::try_from(n).map_err(|_| wrong("a whole number, 0 or more")),
            _ => Err(wrong("a whole number, 0 or more")),
        };
        let number = || match entry.value.kind {
            #[expect(clippy::cast_precision_loss, reason = "JSON numbers are compared as such")]
            value::Kind::Int(n) => Ok(n as f64),
            value::Kind::Float(n) => Ok(n),
            _ => Err(wrong("a number")),
        };
        let json = || json_of(&entry.value).ok_or_else(|| wrong("a value that JSON has"));
        Ok(match entry.key.as_str() {
            "equals" => Self::Equal(json()?),
            "not" => Self::Differ(json()?),
            "min" => Self::AtLeast(number()?),
            "max" => Self::AtMost(number()?),
            "contains" => Self::Contain(json()?),
            "size" => Self::Size(count()?),
            "count" => Self::Count(count()?),
            "exists" => match entry.value.kind {
                value::Kind::Bool(flag) => Self::Exist(flag),
                _ => return Err(wrong("true or false")),
            },
            "type" => match &entry.value.kind {
                value::Kind::Text(text) => {
                    let known = TYPES.iter().find(|known| *known == text);
                    Self::Type(known.ok_or_else(|| wrong(&format!("one of {}", TYPES.join(", "))))?)
                }
                _ => return Err(wrong("text")),
            },
            "matches" => match &entry.value.kind {
                value::Kind::Text(text) => {
                    Self::Match(Regex::new(text).map_err(|e| wrong(&format!("a regular expression: {e}")))?)
                }
                _ => return Err(wrong("text")),
            },
            _ => {
                let message = format!("`{}` says nothing about a JSON value", clean_line(&entry.key, 60));
                return Err(Wrong {
                    help: Some(format!("known: {SAYS}; an object is compared by {{ equals = {{ … }} }}")),
                    ..Wrong::new(entry.key_span.clone(), message, "unknown key")
                });
            }
        })
    }

    fn fits(&self, found: &Json, values: &Values) -> bool {
        match self {
            Self::Equal(wanted) => equal(found, &fill_json(wanted, values)),
            Self::Differ(wanted) => !equal(found, &fill_json(wanted, values)),
            Self::AtLeast(least) => found.as_f64().is_some_and(|n| n >= *least),
            Self::AtMost(most) => found.as_f64().is_some_and(|n| n <= *most),
            Self::Match(regex) => found.as_str().is_some_and(|text| regex.is_match(text)),
            Self::Contain(wanted) => match (found, fill_json(wanted, values)) {
                (Json::String(text), Json::String(part)) => text.contains(&part),
                (Json::Array(list), wanted) => list.iter().any(|item| equal(item, &wanted)),
                (Json::Object(map), Json::String(key)) => map.contains_key(&key),
                _ => false,
            },
            Self::Type(name) => match *name {
                "null" => found.is_null(),
                "boolean" => found.is_boolean(),
                "number" => found.is_number(),
                "integer" => found.is_i64() || found.is_u64(),
                "string" => found.is_string(),
                "array" => found.is_array(),
                _ => found.is_object(),
            },
            Self::Size(wanted) => match found {
                Json::String(text) => text.chars().count() == *wanted,
                Json::Array(list) => list.len() == *wanted,
                Json::Object(map) => map.len() == *wanted,
                _ => false,
            },
            Self::Count(_) | Self::Exist(_) => true,
        }
    }

    fn filled(&self, values: &Values) -> String {
        match self {
            Self::Equal(json) => bounded(&fill_json(json, values).to_string(), 120),
            other => other.words(),
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Equal(json) => bounded(&json.to_string(), 120),
            Self::Differ(json) => bounded(&format!("anything but {json}"), 120),
            Self::AtLeast(n) => format!("at least {n}"),
            Self::AtMost(n) => format!("at most {n}"),
            Self::Match(regex) => bounded(&format!("/{}/", regex.as_str()), 120),
            Self::Contain(json) => bounded(&format!("something with {json}"), 120),
            Self::Type(name) => format!("a value of type {name}"),
            Self::Size(size) => format!("a size of {size}"),
            Self::Count(count) => format!("{count} of it"),
            Self::Exist(true) => "there".to_owned(),
            Self::Exist(false) => "not there".to_owned(),
        }
    }
}

/// `1` and `1.0` are the same number, at any depth; the order of keys says nothing.
fn equal(found: &Json, wanted: &Json) -> bool {
    match (found, wanted) {
        (Json::Number(a), Json::Number(b)) => {
            a == b
                || (a.is_f64() || b.is_f64()) && a.as_f64().partial_cmp(&b.as_f64()) == Some(std::cmp::Ordering::Equal)
        }
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        (a, b) => a == b,
    }
}

/// A runbook's value as JSON; nothing for a secret, which would be told when it differs.
pub(in crate::kinds) fn json_of(value: &Value) -> Option<Json> {
    Some(match &value.kind {
        value::Kind::Text(text) => Json::from(text.as_str()),
        value::Kind::Int(n) => Json::from(*n),
        value::Kind::Float(n) => Json::from(*n),
        value::Kind::Bool(flag) => Json::from(*flag),
        value::Kind::Time(moment) => Json::from(moment.to_rfc3339()),
        value::Kind::List(list) => Json::Array(list.iter().map(json_of).collect::<Option<_>>()?),
        value::Kind::Table(table) => {
            let entry = |entry: &Entry| Some((entry.key.clone(), json_of(&entry.value)?));
            Json::Object(table.entries.iter().map(entry).collect::<Option<_>>()?)
        }
        value::Kind::Secret(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths() {
        let body = json!({ "a": { "b": [ { "c": 1 }, [2, 3] ] }, "x.y": true, "n": [{ "s": "up", "v": 1 }, { "s": "down", "v": 2 }] });
        for (path, wanted) in [
            ("a.b[0].c", vec![json!(1)]),
            ("a.b[1][1]", vec![json!(3)]),
            ("/a/b/0/c", vec![json!(1)]),
            ("x.y", vec![json!(true)]),
            ("a.b[2]", vec![]),
            ("a.b[0", vec![]),
            ("a.z", vec![]),
            ("$.a.b[0].c", vec![json!(1)]),
            ("$['x.y']", vec![json!(true)]),
            ("$.n[?@.s == 'down'].v", vec![json!(2)]),
            ("$.n[*].v", vec![json!(1), json!(2)]),
            ("$.n[?length(@.s) > 2].v", vec![json!(2)]),
        ] {
            assert_eq!(Path::new(path).unwrap().find(&body), wanted.iter().collect::<Vec<_>>(), "{path}");
        }
        assert_eq!(Path::new("[0]").unwrap().find(&json!([5])), [&json!(5)]);
        assert!(Path::new("$.[").is_err());
        assert!(equal(&json!(1), &json!(1.0)) && !equal(&json!("1"), &json!(1)));
        assert!(equal(&json!({ "a": [1], "b": 2 }), &json!({ "b": 2.0, "a": [1] })));
        assert!(!equal(&json!(9_007_199_254_740_993_u64), &json!(9_007_199_254_740_992_u64)));
    }
}

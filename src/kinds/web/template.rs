//! `{{name}}`: places in a text that are filled when the request is made, with what an earlier answer held. What
//! is filled in is data: each place says how it is written there. `{{{{` stands for `{{` itself.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::Value as Json;

/// Values by name.
#[derive(Debug, Clone, Default)]
pub(in crate::kinds) struct Values(BTreeMap<String, Json>);

impl Values {
    pub fn set(&mut self, name: &str, value: Json) {
        self.0.insert(name.to_owned(), value);
    }

    pub fn get(&self, name: &str) -> Option<&Json> {
        self.0.get(name)
    }

    /// `id = "42", token = …` of those that may be told.
    pub fn words(&self, hidden: &[String]) -> String {
        let told = self.0.iter().filter(|(name, _)| !hidden.contains(name));
        told.map(|(name, value)| format!("{name} = {value}")).collect::<Vec<_>>().join(", ")
    }
}

/// As it stands in a text: a text without quotes, everything else as JSON.
pub(in crate::kinds) fn plain(value: &Json) -> Cow<'_, str> {
    match value {
        Json::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Name(String),
}

/// A text with places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kinds) struct Template(Vec<Piece>);

impl Template {
    pub fn new(text: &str) -> Self {
        let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find("{{") {
            plain.push_str(&rest[..at]);
            rest = &rest[at + 2..];
            if let Some(after) = rest.strip_prefix("{{") {
                plain.push_str("{{");
                rest = after;
                continue;
            }
            match rest.split_once("}}") {
                Some((name, after)) if is_name(name.trim()) => {
                    if !plain.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    }
                    pieces.push(Piece::Name(name.trim().to_owned()));
                    rest = after;
                }
                _ => plain.push_str("{{"),
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Self(pieces)
    }

    /// The names of its places.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Name(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// The name, where it is one place and nothing else.
    pub fn alone(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Piece::Name(name)] => Some(name),
            _ => None,
        }
    }

    /// Filled, each value written as `how` says.
    pub fn fill<E>(
        &self,
        values: &Values,
        mut how: impl FnMut(&str, &Json) -> Result<String, E>,
    ) -> Result<Cow<'_, str>, E> {
        if let [Piece::Text(text)] = self.0.as_slice() {
            return Ok(Cow::Borrowed(text));
        }
        let mut filled = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Name(name) => filled.push_str(&how(name, values.get(name).unwrap_or(&Json::Null))?),
            }
        }
        Ok(Cow::Owned(filled))
    }

    /// Filled as it is.
    pub fn text(&self, values: &Values) -> Cow<'_, str> {
        let how = |_: &str, value: &Json| Ok::<_, std::convert::Infallible>(plain(value).into_owned());
        match self.fill(values, how) {
            Ok(text) => text,
            Err(never) => match never {},
        }
    }

    /// Filled as JSON: within quotes a value is escaped, outside it is written as the JSON value that it is.
    pub fn json(&self, values: &Values) -> String {
        let (mut filled, mut quoted, mut escaped) = (String::new(), false, false);
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => {
                    for c in text.chars() {
                        match c {
                            _ if escaped => escaped = false,
                            '\\' if quoted => escaped = true,
                            '"' => quoted = !quoted,
                            _ => {}
                        }
                    }
                    filled.push_str(text);
                }
                Piece::Name(name) => {
                    let value = values.get(name).unwrap_or(&Json::Null);
                    let whole = if quoted { Json::from(plain(value)).to_string() } else { value.to_string() };
                    let inside = whole.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
                    filled.push_str(inside.filter(|_| quoted).unwrap_or(&whole));
                }
            }
        }
        filled
    }

    /// As the author wrote it, for people.
    pub fn written(&self) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Name(name) => format!("{{{{{name}}}}}"),
        };
        self.0.iter().map(piece).collect()
    }
}

/// `order_id`.
pub(in crate::kinds) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A JSON value with places in its texts; a text that is one place alone takes the value's own type.
pub(in crate::kinds) fn fill_json(json: &Json, values: &Values) -> Json {
    match json {
        Json::String(text) => {
            let template = Template::new(text);
            match template.alone() {
                Some(name) => values.get(name).cloned().unwrap_or(Json::Null),
                None => Json::from(template.text(values)),
            }
        }
        Json::Array(list) => list.iter().map(|item| fill_json(item, values)).collect(),
        Json::Object(map) => {
            Json::Object(map.iter().map(|(key, value)| (key.clone(), fill_json(value, values))).collect())
        }
        other => other.clone(),
    }
}

/// Every name in the texts of a JSON value.
pub(in crate::kinds) fn names_in(json: &Json) -> Vec<String> {
    match json {
        Json::String(text) => Template::new(text).names().map(str::to_owned).collect(),
        Json::Array(list) => list.iter().flat_map(names_in).collect(),
        Json::Object(map) => map.values().flat_map(names_in).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn places_and_what_only_looks_like_one() {
        let template = Template::new("/a/{{id}}/{{ x_1 }}?{{{{no}}&{{1}}&{{a b}}&{{");
        assert_eq!(template.names().collect::<Vec<_>>(), ["id", "x_1"]);
        let mut values = Values::default();
        values.set("id", json!(7));
        values.set("x_1", json!("t"));
        assert_eq!(template.text(&values), "/a/7/t?{{no}}&{{1}}&{{a b}}&{{");
        assert_eq!(Template::new("{{id}}").alone(), Some("id"));
        assert_eq!(Template::new("").text(&values), "");
    }

    /// What a server said cannot leave its place in a JSON body.
    #[test]
    fn json_stays_json() {
        let mut values = Values::default();
        values.set("n", json!(1));
        values.set("evil", json!("x\", \"admin\": true, \"y\": \""));
        let body = r#"{"say \" it": "{{evil}}!", "n": {{n}}, "all": [{{evil}}], "t": "{{n}}"}"#;
        let read: Json = serde_json::from_str(&Template::new(body).json(&values)).unwrap();
        let evil = "x\", \"admin\": true, \"y\": \"";
        assert_eq!(read, json!({ "say \" it": format!("{evil}!"), "n": 1, "all": [evil], "t": "1" }));
        let filled = fill_json(&json!({ "a": "{{n}}", "b": ["n{{n}}"], "c": 2 }), &values);
        assert_eq!(filled, json!({ "a": 1, "b": ["n1"], "c": 2 }));
    }
}

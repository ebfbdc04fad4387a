//! JSON Schema, draft 04, as far as Heroku's schema uses it. `strictProperties` is theirs: no other property, and none
//! missing. A keyword that is not known here is an error: what is not checked must not look checked.

use serde_json::Value as Json;

/// What says nothing about a value.
const SILENT: &[&str] = &[
    "$schema",
    "default",
    "definitions",
    "deprecated",
    "description",
    "example",
    "id",
    "identity",
    "links",
    "readOnly",
    "readonly",
    "stability",
    "title",
];

/// What a value breaks; empty where it is valid.
pub fn broken(root: &Json, schema: &Json, value: &Json, closed: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    Walk { root, closed }.at(schema, value, "", &mut wrong);
    wrong
}

/// Follows `$ref`.
pub fn deref<'s>(root: &'s Json, mut schema: &'s Json) -> &'s Json {
    while let Some(target) = schema.get("$ref").and_then(Json::as_str) {
        schema = root.pointer(target.trim_start_matches('#')).unwrap_or_else(|| panic!("{target} leads nowhere"));
    }
    schema
}

struct Walk<'s> {
    root: &'s Json,
    /// Properties that are not named are errors, as in a request that says what it takes.
    closed: bool,
}

impl Walk<'_> {
    fn at(&self, schema: &Json, value: &Json, path: &str, wrong: &mut Vec<String>) {
        let schema = deref(self.root, schema).as_object().expect("a schema is an object");
        let place = if path.is_empty() { "/" } else { path };
        for (key, rule) in schema {
            match key.as_str() {
                "type" => {
                    let types: Vec<&str> = match rule {
                        Json::Array(list) => list.iter().filter_map(Json::as_str).collect(),
                        one => one.as_str().into_iter().collect(),
                    };
                    if !types.iter().any(|name| is(value, name)) {
                        wrong.push(format!("{place}: {} is no {}", short(value), types.join(" or ")));
                    }
                }
                "enum" if !rule.as_array().unwrap().contains(value) => {
                    wrong.push(format!("{place}: {} is none of {rule}", short(value)))
                }
                "pattern" if value.is_string() => {
                    // The engine has no look-ahead; the one pattern that has is the name of a space.
                    let text = rule.as_str().unwrap();
                    let pattern = regex_lite::Regex::new(&text.replace("(?!-)", "")).unwrap();
                    if !pattern.is_match(value.as_str().unwrap()) {
                        wrong.push(format!("{place}: {} is not like {text}", short(value)));
                    }
                }
                "format" if value.is_string() && !formatted(rule.as_str().unwrap(), value.as_str().unwrap()) => {
                    wrong.push(format!("{place}: {} is no {rule}", short(value)));
                }
                "minimum" if value.as_f64() < rule.as_f64() && value.is_number() => {
                    wrong.push(format!("{place}: {value} is below {rule}"))
                }
                "maxLength" if value.as_str().is_some_and(|it| it.chars().count() as u64 > rule.as_u64().unwrap()) => {
                    wrong.push(format!("{place}: longer than {rule}"));
                }
                "minItems" if value.as_array().is_some_and(|it| (it.len() as u64) < rule.as_u64().unwrap()) => {
                    wrong.push(format!("{place}: fewer than {rule}"));
                }
                "maxItems" if value.as_array().is_some_and(|it| it.len() as u64 > rule.as_u64().unwrap()) => {
                    wrong.push(format!("{place}: more than {rule}"));
                }
                "anyOf" => {
                    let any = rule.as_array().unwrap();
                    if !any.iter().any(|one| broken(self.root, one, value, self.closed).is_empty()) {
                        wrong.push(format!("{place}: {} fits none of {} choices", short(value), any.len()));
                    }
                }
                "required" => {
                    let missing = rule.as_array().unwrap().iter().filter_map(Json::as_str);
                    for name in missing.filter(|name| value.is_object() && value.get(name).is_none()) {
                        wrong.push(format!("{place}: {name} is missing"));
                    }
                }
                "items" => {
                    for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.at(rule, item, &format!("{path}/{n}"), wrong);
                    }
                }
                "properties"
                | "patternProperties"
                | "additionalProperties"
                | "strictProperties"
                | "enum"
                | "pattern"
                | "format"
                | "minimum"
                | "maxLength"
                | "minItems"
                | "maxItems"
                | "uniqueItems"
                | "ranges" => {}
                other => assert!(SILENT.contains(&other), "the keyword {other} is not checked here"),
            }
        }
        self.object(schema, value, path, wrong);
    }

    fn object(&self, schema: &serde_json::Map<String, Json>, value: &Json, path: &str, wrong: &mut Vec<String>) {
        let Some(object) = value.as_object() else { return };
        let named = schema.get("properties").and_then(Json::as_object);
        let strict = schema.get("strictProperties") == Some(&Json::Bool(true));
        let additional = schema.get("additionalProperties");
        let patterns = schema.get("patternProperties").and_then(Json::as_object);
        for (name, inner) in object {
            let here = format!("{path}/{name}");
            if let Some(rule) = named.and_then(|named| named.get(name)) {
                self.at(rule, inner, &here, wrong);
                continue;
            }
            let pattern = patterns.and_then(|patterns| {
                patterns.iter().find(|(pattern, _)| regex_lite::Regex::new(pattern).unwrap().is_match(name))
            });
            match (pattern, additional) {
                (Some((_, rule)), _) => self.at(rule, inner, &here, wrong),
                (None, Some(Json::Bool(false))) => wrong.push(format!("{here}: is not known")),
                (None, Some(rule @ Json::Object(_))) => self.at(rule, inner, &here, wrong),
                (None, _) if strict || (self.closed && named.is_some()) => wrong.push(format!("{here}: is not known")),
                (None, _) => {}
            }
        }
        for name in named.into_iter().flat_map(serde_json::Map::keys).filter(|_| strict) {
            if !object.contains_key(name) {
                wrong.push(format!("{path}/{name}: is missing"));
            }
        }
    }
}

fn is(value: &Json, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is no type"),
    }
}

fn formatted(format: &str, text: &str) -> bool {
    let like = |pattern: &str| regex_lite::Regex::new(pattern).unwrap().is_match(text);
    match format {
        "date-time" => chrono::DateTime::parse_from_rfc3339(text).is_ok(),
        "date" => like("^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
        "uuid" => like("^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"),
        "email" => like("^[^@ ]+@[^@ ]+$"),
        // The schema's own example of a domain's host name, which it calls a URI, is a bare name.
        "uri" => reqwest::Url::parse(text).is_ok() || like("^[A-Za-z0-9-]+(\\.[A-Za-z0-9-]+)+$"),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        other => panic!("the format {other} is not checked here"),
    }
}

/// Enough of a value to find it; never a whole config.
fn short(value: &Json) -> String {
    value.to_string().chars().take(60).collect()
}

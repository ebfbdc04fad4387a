//! Heroku's published schema, where it is found (`GONOGO_HEROKU_SCHEMA`, a hyper-schema: every endpoint with its request
//! and its answer), else the types of npm `@heroku-cli/schema` (`GONOGO_HEROKU_TYPES`: answers only).

use std::{path::PathBuf, sync::OnceLock};

use serde_json::Value as Json;

use super::{draft4, types};

/// The schema that is used.
pub struct Schema {
    pub root: Json,
    /// Which it is, for whoever reads the test's output.
    pub source: String,
    /// True where it says what requests look like.
    pub requests: bool,
}

/// One request and its answer.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub method: String,
    /// With its query, as sent.
    pub path: String,
    pub range: Option<String>,
    pub body: Json,
    pub status: u16,
    pub answer: Json,
}

/// The schema, read once.
pub fn schema() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let schema = read();
        eprintln!("Heroku's schema: {}", schema.source);
        schema
    })
}

fn read() -> Schema {
    let named = |variable: &str| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_file());
    if let Some(path) = named("GONOGO_HEROKU_SCHEMA") {
        let root: Json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        return Schema { root, source: format!("the published hyper-schema, {}", path.display()), requests: true };
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"))).unwrap();
    let installed = cache.join("gonogo/tools/node_modules/heroku-schema-types/lib/index.d.ts");
    let path = named("GONOGO_HEROKU_TYPES").unwrap_or(installed);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| {
        panic!(
            "neither GONOGO_HEROKU_SCHEMA nor {} can be read ({e}): run tests/run, which installs it",
            path.display()
        )
    });
    Schema { root: types::schema(&text), source: format!("the types of npm, {}", path.display()), requests: false }
}

impl Schema {
    /// Every link of every definition, with its method and its path, `{}` for what varies.
    pub fn links(&self) -> impl Iterator<Item = (String, &Json)> {
        let links = self.root["definitions"].as_object().unwrap().values().filter_map(|it| it["links"].as_array());
        links.flatten().map(|link| {
            let href = regex_lite::Regex::new(r"\{[^}]*\}").unwrap();
            let href = href.replace_all(link["href"].as_str().unwrap(), "{}").into_owned();
            (format!("{} {href}", link["method"].as_str().unwrap()), link)
        })
    }

    /// The answer's schema of an endpoint, named as in [`Schema::links`].
    pub fn answer(&self, endpoint: &str) -> &Json {
        let found = self.links().find(|(name, link)| name == endpoint && link.get("targetSchema").is_some());
        &found.unwrap_or_else(|| panic!("{endpoint} has no answer in the schema")).1["targetSchema"]
    }

    /// The endpoint of an exchange and what is wrong with either side of it.
    pub fn check(&self, exchange: &Exchange) -> (Option<String>, Vec<String>) {
        let path = exchange.path.split('?').next().unwrap();
        let fits = |(name, _): &(String, &Json)| {
            let (method, href) = name.split_once(' ').unwrap();
            let (own, asked): (Vec<&str>, Vec<&str>) = (href.split('/').collect(), path.split('/').collect());
            let each = own.iter().zip(&asked).all(|(own, asked)| own == asked || (*own == "{}" && !asked.is_empty()));
            method == exchange.method && own.len() == asked.len() && each
        };
        let mut found: Vec<(String, &Json)> = self.links().filter(fits).collect();
        // `/account/features` is one path, and one that fits `/account/{}` as well.
        let fewest = found.iter().map(|(name, _)| name.matches("{}").count()).min();
        found.retain(|(name, _)| Some(name.matches("{}").count()) == fewest);
        let Some((name, first)) = found.first() else {
            return (None, vec![format!("{} {path} is no endpoint", exchange.method)]);
        };
        let sides = |link: &Json| {
            let mut wrong = Vec::new();
            if self.requests && exchange.method != "GET" {
                match link.get("schema") {
                    Some(schema) => {
                        let broken = draft4::broken(&self.root, schema, &exchange.body, true);
                        wrong.extend(broken.iter().map(|what| format!("request {what}")));
                    }
                    None if !exchange.body.is_null() => wrong.push("request: takes no body".to_owned()),
                    None => {}
                }
            }
            if let (Some(range), Some(ranges)) = (&exchange.range, link["ranges"].as_array()) {
                let by = range.split([' ', ';']).next().unwrap_or_default();
                if !by.is_empty() && !ranges.iter().any(|range| range == by) {
                    wrong.push(format!("request: cannot be ordered by {by}"));
                }
            }
            if (200..300).contains(&exchange.status) {
                if let Some(target) = link.get("targetSchema") {
                    let broken = draft4::broken(&self.root, target, &exchange.answer, false);
                    wrong.extend(broken.iter().map(|what| format!("answer {what}")));
                }
            } else if !exchange.answer["id"].is_string() || !exchange.answer["message"].is_string() {
                wrong.push(format!("answer: {} without id and message", exchange.status));
            }
            wrong
        };
        // Two uses of one path (a release made, or gone back to): one of them fits.
        let all: Vec<Vec<String>> = found.iter().map(|(_, link)| sides(link)).collect();
        let wrong = all.iter().find(|wrong| wrong.is_empty()).cloned().unwrap_or_else(|| sides(first));
        (Some(name.clone()), wrong.iter().map(|what| format!("{} {path}: {what}", exchange.method)).collect())
    }

    /// A value with everything that a schema has.
    pub fn sample(&self, schema: &Json) -> Json {
        let schema = draft4::deref(&self.root, schema);
        if let Some(named) = schema["properties"].as_object() {
            return named.iter().map(|(name, inner)| (name.clone(), self.sample(inner))).collect();
        }
        if let Some(inner) = schema.get("items") {
            return Json::Array(vec![self.sample(inner)]);
        }
        let any = schema["anyOf"].as_array().and_then(|any| any.iter().find(|one| one["type"] != "null"));
        let choice = schema["enum"].as_array().and_then(|all| all.first());
        let types = match &schema["type"] {
            Json::Array(list) => list.iter().filter_map(Json::as_str).find(|name| *name != "null"),
            one => one.as_str(),
        };
        match (schema.get("example"), any, choice, types) {
            (Some(example), ..) if !example.is_null() => example.clone(),
            (_, _, Some(choice), _) => choice.clone(),
            (_, Some(any), ..) => self.sample(any),
            (.., Some("string")) => "2012-01-01T12:00:00Z".into(),
            (.., Some("integer" | "number")) => 7.into(),
            (.., Some("boolean")) => true.into(),
            (.., Some("array")) => Json::Array(Vec::new()),
            _ => Json::Null,
        }
    }
}

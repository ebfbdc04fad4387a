//! The types of npm `@heroku-cli/schema` (generated from the same schema), read as a schema: what answers look like, and
//! nothing about requests. `A & B` is what its generator makes of one of several shapes, so either fits.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

/// The answers of the endpoints that are used here: method, path, type, and whether a list of it comes.
const ANSWERS: &[(&str, &str, &str, bool)] = &[
    ("GET", "/account", "Account", false),
    ("GET", "/account/rate-limits", "RateLimit", false),
    ("GET", "/addon-attachments", "AddOnAttachment", true),
    ("GET", "/addons", "AddOn", true),
    ("GET", "/addons/{(i)}", "AddOn", false),
    ("GET", "/apps", "App", true),
    ("GET", "/apps/{(i)}", "App", false),
    ("PATCH", "/apps/{(i)}", "App", false),
    ("GET", "/apps/{(i)}/addon-attachments", "AddOnAttachment", true),
    ("GET", "/apps/{(i)}/addons", "AddOn", true),
    ("GET", "/apps/{(i)}/addons/{(i)}", "AddOn", false),
    ("GET", "/apps/{(i)}/builds", "Build", true),
    ("GET", "/apps/{(i)}/collaborators", "Collaborator", true),
    ("GET", "/apps/{(i)}/config-vars", "ConfigVars", false),
    ("PATCH", "/apps/{(i)}/config-vars", "ConfigVars", false),
    ("GET", "/apps/{(i)}/domains", "Domain", true),
    ("GET", "/apps/{(i)}/dynos", "Dyno", true),
    ("POST", "/apps/{(i)}/dynos", "Dyno", false),
    ("GET", "/apps/{(i)}/dynos/{(i)}", "Dyno", false),
    ("GET", "/apps/{(i)}/formation", "Formation", true),
    ("PATCH", "/apps/{(i)}/formation", "Formation", true),
    ("GET", "/apps/{(i)}/formation/{(i)}", "Formation", false),
    ("PATCH", "/apps/{(i)}/formation/{(i)}", "Formation", false),
    ("GET", "/apps/{(i)}/log-drains", "LogDrain", true),
    ("GET", "/apps/{(i)}/pipeline-couplings", "PipelineCoupling", false),
    ("GET", "/apps/{(i)}/releases", "Release", true),
    ("POST", "/apps/{(i)}/releases", "Release", false),
    ("GET", "/apps/{(i)}/releases/{(i)}", "Release", false),
    ("GET", "/apps/{(i)}/releases/{(i)}/config-vars", "ConfigVars", false),
];

/// What the API's schema has and these types, which are older, have not.
const NEWER: &[(&str, &str)] = &[
    ("App", "generation"),
    ("Build", "generation"),
    ("Formation", "dyno_size"),
    ("Release", "artifacts"),
    ("Release", "eligible_for_rollback"),
];

/// A schema with links, as Heroku's own.
pub fn schema(text: &str) -> Json {
    let mut read = Read { tokens: tokens(text), at: 0 };
    let mut definitions = BTreeMap::new();
    while !read.done() {
        read.take("export");
        let kind = read.next();
        let name = read.next();
        if kind == "type" {
            read.take("=");
        }
        let mut schema = read.union();
        if kind == "interface" && schema.get("additionalProperties").is_none() {
            // Every name that there is stands there.
            schema["additionalProperties"] = json!(false);
        }
        for (_, newer) in NEWER.iter().filter(|(of, _)| *of == name) {
            let before = schema["properties"].as_object_mut().unwrap().insert((*newer).to_owned(), json!({}));
            assert_eq!(before, None, "{name} has {newer} by now");
        }
        definitions.insert(name, schema);
    }
    let link = |(method, href, name, list): &(&str, &str, &str, bool)| {
        assert!(definitions.contains_key(*name), "there is no type {name}");
        let one = json!({ "$ref": format!("#/definitions/{name}") });
        let target = if *list { json!({ "type": "array", "items": one }) } else { one };
        json!({ "method": method, "href": href, "targetSchema": target })
    };
    let links: Vec<Json> = ANSWERS.iter().map(link).collect();
    let mut root = json!({ "definitions": definitions });
    root["definitions"]["links"] = json!({ "links": links });
    root
}

fn tokens(text: &str) -> Vec<String> {
    let comments = regex_lite::Regex::new(r"(?s)/\*.*?\*/").unwrap();
    let text = comments.replace_all(text, " ");
    let token = regex_lite::Regex::new(r"'[^']*'|[A-Za-z0-9_$-]+|[^\s;]").unwrap();
    token.find_iter(&text).map(|found| found.as_str().to_owned()).collect()
}

struct Read {
    tokens: Vec<String>,
    at: usize,
}

impl Read {
    fn done(&self) -> bool {
        self.at >= self.tokens.len()
    }

    fn peek(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", String::as_str)
    }

    fn next(&mut self) -> String {
        self.at += 1;
        self.tokens[self.at - 1].clone()
    }

    fn take(&mut self, wanted: &str) {
        let found = self.next();
        assert_eq!(found, wanted, "after {:?}", &self.tokens[self.at.saturating_sub(8)..self.at]);
    }

    fn union(&mut self) -> Json {
        let mut any = Vec::new();
        loop {
            if matches!(self.peek(0), "|" | "&") {
                self.next();
            }
            any.push(self.postfix());
            if !matches!(self.peek(0), "|" | "&") {
                break;
            }
        }
        if any.len() == 1 { any.remove(0) } else { json!({ "anyOf": any }) }
    }

    fn postfix(&mut self) -> Json {
        let mut one = self.primary();
        while self.peek(0) == "[" && self.peek(1) == "]" {
            self.at += 2;
            one = json!({ "type": "array", "items": one });
        }
        one
    }

    fn primary(&mut self) -> Json {
        match self.next().as_str() {
            "(" => {
                let inner = self.union();
                self.take(")");
                inner
            }
            "{" => self.object(),
            "[" => {
                while self.next() != "]" {}
                json!({ "type": "array" })
            }
            "unknown" | "any" => json!({}),
            name @ ("string" | "number" | "boolean" | "null" | "object") => json!({ "type": name }),
            literal if literal.starts_with('\'') => json!({ "enum": [literal.trim_matches('\'')] }),
            "true" => json!({ "enum": [true] }),
            "false" => json!({ "enum": [false] }),
            name => json!({ "$ref": format!("#/definitions/{name}") }),
        }
    }

    fn object(&mut self) -> Json {
        let (mut properties, mut required) = (serde_json::Map::new(), Vec::new());
        let mut rest = None;
        while self.peek(0) != "}" {
            if self.peek(0) == "[" {
                while self.next() != "]" {}
                self.take(":");
                rest = Some(self.union());
                continue;
            }
            let name = self.next().trim_matches('\'').to_owned();
            let optional = self.peek(0) == "?";
            if optional {
                self.next();
            } else {
                required.push(name.clone());
            }
            self.take(":");
            properties.insert(name, self.union());
        }
        self.take("}");
        let mut object = json!({ "type": "object", "properties": properties, "required": required });
        if let Some(rest) = rest.filter(|rest| rest.as_object().is_some_and(|rest| !rest.is_empty())) {
            object["additionalProperties"] = rest;
        }
        object
    }
}

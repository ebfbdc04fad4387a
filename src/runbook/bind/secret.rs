//! `[secrets]`: references only. A value written here is an error, and is never shown.

use super::{Code, Diagnostic, Diagnostics, Entry, Fields, Kind, Value, entries, fields, head};
use crate::runbook::{SecretRef, SecretSource};

const SOURCES: &[&str] = &["env", "file", "command", "heroku_config", "aws_secret", "aws_parameter"];
const FORMS: &str = "{ env = \"NAME\" }, { file = \"path\" }, { command = [\"op\", \"read\", \"…\"] }, \
                     { heroku_config = \"NAME\" }, { aws_secret = \"id\" } or { aws_parameter = \"name\" }";

pub(super) fn secrets(top: &Fields<'_>, d: &mut Diagnostics) -> Vec<SecretRef> {
    entries(top, "secrets", d).iter().filter_map(|entry| secret(entry, d)).collect()
}

fn secret(entry: &Entry, d: &mut Diagnostics) -> Option<SecretRef> {
    if !head::is_name(&entry.key) {
        d.push(head::bad_name("secret", entry));
    }
    let Kind::Table(table) = &entry.value.kind else {
        d.mask(entry.value.span.clone());
        d.push(
            Diagnostic::error(
                Code::LITERAL_SECRET,
                entry.value.span.clone(),
                format!("secret `{}` is written into the file", entry.key),
            )
            .label("only a reference may stand here")
            .help(format!("say where the value is: {FORMS}\nif this file was ever shared, change the secret")),
        );
        return None;
    };
    let what = format!("secret `{}`", entry.key);
    let fields = Fields::new(table, what, entry.key_span.clone(), SOURCES, d);
    let mut given = SOURCES.iter().filter_map(|source| fields.entry(source));
    let Some(source) = given.next() else {
        if table.entries.is_empty() {
            fields.missing("env", &format!("say where the value is: {FORMS}"), d);
        }
        return None;
    };
    if let Some(second) = given.next() {
        d.push(
            Diagnostic::error(Code::CONFLICT, second.key_span.clone(), format!("{} has two places", fields.what))
                .label("the second place")
                .related(source.key_span.clone(), "the first")
                .help("keep one of the two"),
        );
    }
    let place = |value: &Value, d: &mut Diagnostics| fields::text(&source.key, value, d).map(str::to_owned);
    let text = match &source.value.kind {
        Kind::Text(text) if text.trim().is_empty() => {
            d.push(fields::bad_value(&source.value, format!("`{}` is empty", source.key), "empty"));
            return None;
        }
        Kind::List(list) if source.key == "command" => {
            let words: Vec<String> = list.iter().filter_map(|item| place(item, d)).collect();
            if words.first().is_none_or(|program| program.is_empty()) {
                d.push(fields::bad_value(&source.value, "`command` names no program", "empty"));
                return None;
            }
            return Some(SecretRef {
                name: entry.key.clone(),
                span: entry.value.span.clone(),
                source: SecretSource::Command(words),
            });
        }
        _ if source.key == "command" => {
            fields::wrong("command", &source.value, "a list of words, such as [\"op\", \"read\", \"…\"]", d);
            return None;
        }
        _ => place(&source.value, d)?,
    };
    if source.key == "env" && !text.contains("${") && !is_variable(&text) {
        // Whatever stands here may be the secret itself, so it is hidden as well.
        d.mask(source.value.span.clone());
        d.push(
            Diagnostic::error(
                Code::LITERAL_SECRET,
                source.value.span.clone(),
                "`env` must be the name of an environment variable",
            )
            .label("not a variable's name")
            .help("the name only, such as \"HEROKU_API_KEY\"; its value never stands in the file"),
        );
    }
    let source = match source.key.as_str() {
        "env" => SecretSource::Env(text),
        "file" => SecretSource::File(text),
        "heroku_config" => SecretSource::HerokuConfig(text),
        "aws_secret" => SecretSource::AwsSecret(text),
        _ => SecretSource::AwsParameter(text),
    };
    Some(SecretRef { name: entry.key.clone(), span: entry.value.span.clone(), source })
}

fn is_variable(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

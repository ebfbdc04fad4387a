//! The spellings in which a value may turn up: its leaves, and the encodings of each.

use std::collections::BTreeSet;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use super::Redactor;

/// From this length on a form is masked wherever it stands.
pub(super) const ANYWHERE: usize = 8;
/// JSON keys whose texts are known to be names, not secrets: masking `postgres` or a region would
/// blind the record.
const PLAIN_KEYS: [&str; 9] =
    ["engine", "host", "hostname", "port", "dbname", "database", "region", "username", "dbInstanceIdentifier"];
/// What RFC 3986 leaves as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Everything to look for, and whether only as a whole word.
pub(super) fn of(value: &str) -> BTreeSet<(Vec<u8>, bool)> {
    let mut found = BTreeSet::new();
    for leaf in leaves(value) {
        let raw = leaf.as_bytes();
        if raw.len() >= ANYWHERE {
            found.extend(encodings(&leaf).into_iter().filter(|f| f.len() >= ANYWHERE).map(|f| (f, false)));
        } else if raw.len() >= Redactor::MIN {
            found.insert((raw.to_vec(), true));
        }
    }
    found
}

/// The value, and what a structured one is made of.
fn leaves(value: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::from([value.to_owned(), value.trim().to_owned()]);
    found.extend(value.lines().map(str::trim).filter(|line| line.len() >= ANYWHERE).map(str::to_owned));
    if let Ok(json) = serde_json::from_str::<serde_json::Value>(value) {
        json_leaves(&json, &mut found);
    }
    for text in found.clone() {
        url_leaves(&text, &mut found);
    }
    found
}

fn json_leaves(json: &serde_json::Value, found: &mut BTreeSet<String>) {
    match json {
        serde_json::Value::String(text) if text.len() >= Redactor::MIN => {
            found.insert(text.clone());
        }
        serde_json::Value::Array(list) => list.iter().for_each(|item| json_leaves(item, found)),
        serde_json::Value::Object(map) => {
            for (_, item) in map.iter().filter(|(key, _)| !PLAIN_KEYS.contains(&key.as_str())) {
                json_leaves(item, found);
            }
        }
        _ => {}
    }
}

/// `scheme://user:password@host`: the password as written and decoded, and both together.
fn url_leaves(text: &str, found: &mut BTreeSet<String>) {
    let Some((_, rest)) = text.split_once("://") else { return };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // A password with an unescaped `/` or `@` is no URL, but people write them: the last `@` ends it.
    for end in [authority.rfind('@').map(|at| &authority[..at]), rest.rfind('@').map(|at| &rest[..at])] {
        let Some(info) = end else { continue };
        let password = info.split_once(':').map_or(info, |(_, password)| password);
        found.insert(info.to_owned());
        found.insert(password.to_owned());
        found.insert(percent_decode_str(password).decode_utf8_lossy().into_owned());
    }
}

fn encodings(text: &str) -> Vec<Vec<u8>> {
    let raw = text.as_bytes();
    let hex = raw.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let percent = percent_encode(raw, UNRESERVED).to_string();
    let strict = percent_encode(raw, NON_ALPHANUMERIC).to_string();
    let json = serde_json::to_string(text).unwrap_or_default();
    let json = json.get(1..json.len().saturating_sub(1)).unwrap_or_default().to_owned();
    let mut forms = vec![
        text.to_owned(),
        hex.to_uppercase(),
        hex,
        lower_escapes(&percent),
        percent.replace("%20", "+"),
        percent,
        lower_escapes(&strict),
        strict,
        text.replace('\'', r"'\''"),
        text.replace('\'', r#"'"'"'"#),
        backslashed(text),
        double_quoted(text),
    ];
    forms.extend(json_texts(&json));
    forms.extend(html_texts(text));
    for skip in 0..3_usize {
        let padded = [&[0_u8; 2][..skip], raw].concat();
        // Characters that also hold bits of a neighbour are left out at both ends.
        let (from, to) = ((skip * 8).div_ceil(6), padded.len() * 8 / 6);
        forms.extend([&STANDARD, &URL_SAFE].map(|base| {
            let encoded = base.encode(&padded);
            encoded.get(from..to).unwrap_or_default().to_owned()
        }));
    }
    forms.into_iter().map(String::into_bytes).collect()
}

/// `%2F` as `%2f`.
fn lower_escapes(text: &str) -> String {
    let mut left = 0;
    let lower = |c: char| {
        if c == '%' {
            left = 2;
            return c;
        }
        let out = if left > 0 { c.to_ascii_lowercase() } else { c };
        left = left.max(1) - 1;
        out
    };
    text.chars().map(lower).collect()
}

/// A text of JSON as others write it: beyond ASCII escaped (Python), slashes (PHP), what HTML would take for its own (Go,
/// Rails), all that and more (.NET); and each of them inside of JSON once more, as log shippers write it.
fn json_texts(json: &str) -> Vec<String> {
    let mut texts = vec![json.to_owned(), ascii_escapes(json)];
    let html = |text: &String| text.replace('&', r"\u0026").replace('<', r"\u003c").replace('>', r"\u003e");
    texts.extend(texts.iter().map(html).collect::<Vec<_>>());
    texts.extend(texts.iter().map(|text| text.replace('\'', r"\u0027")).collect::<Vec<_>>());
    let dotnet = texts.last().map(|text| text.replace("\\\"", r"\u0022").replace('+', r"\u002b")).unwrap_or_default();
    texts.extend([upper_escapes(&dotnet), dotnet]);
    texts.extend(texts.iter().map(|text| text.replace('/', "\\/")).collect::<Vec<_>>());
    let inside = |text: &String| text.replace('\\', "\\\\").replace('"', "\\\"");
    texts.extend(texts.iter().map(inside).collect::<Vec<_>>());
    texts
}

/// A text in HTML, with the names that the usual libraries give to quotes, and such a text in PHP's JSON.
fn html_texts(text: &str) -> Vec<String> {
    let plain = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut texts = Vec::new();
    for double in ["\"", "&quot;", "&#34;"] {
        let plain = plain.replace('"', double);
        texts.extend(["'", "&#39;", "&#039;", "&#x27;", "&apos;"].map(|single| plain.replace('\'', single)));
    }
    texts.extend(texts.iter().map(|text| text.replace('/', "\\/")).collect::<Vec<_>>());
    texts
}

/// `\u00e9` as `\u00E9`.
fn upper_escapes(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find("\\u") {
        let (before, from) = rest.split_at(at + 2);
        let (digits, after) = from.split_at_checked(4).unwrap_or((from, ""));
        out.push_str(before);
        out.push_str(&digits.to_uppercase());
        rest = after;
    }
    out + rest
}

/// JSON with everything beyond ASCII as `\uXXXX`, as Python writes it.
fn ascii_escapes(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            out.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    out
}

/// `printf %q`.
fn backslashed(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./:=@%+,".contains(c);
    text.chars().flat_map(|c| (!plain(c)).then_some('\\').into_iter().chain([c])).collect()
}

/// Between double quotes of a shell.
fn double_quoted(text: &str) -> String {
    text.chars().flat_map(|c| "\"\\$`".contains(c).then_some('\\').into_iter().chain([c])).collect()
}

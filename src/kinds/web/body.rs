//! Bodies of requests: text, JSON, a file, a form, a form with files. Files are read once a look and held in memory.

use hyper::body::Bytes;
use serde_json::Value as Json;

use super::template::{Template, Values, fill_json};
use crate::{
    base::{Class, Failure, clean_line},
    plan::{Param, Params, Shape, TextOrSecret},
    runbook::value::{Entry, Kind, Value},
    services::{
        Secrets,
        http::{Part, multipart},
    },
};

/// The largest file that is sent.
const FILE: u64 = 64 << 20;

/// The parameters.
pub(in crate::kinds) const PARAMS: &[Param] = &[
    Param { name: "body", shape: Shape::TextOrSecret, required: false, help: "body to send, as it is" },
    Param {
        name: "body_json",
        shape: Shape::Any,
        required: false,
        help: "body to send as JSON: a table or list; secrets may stand alone in it",
    },
    Param { name: "body_file", shape: Shape::Text, required: false, help: "file to send as the body, at most 64 MiB" },
    Param { name: "form", shape: Shape::Map, required: false, help: "fields of a form to send: texts, or secrets" },
    Param {
        name: "upload",
        shape: Shape::Any,
        required: false,
        help: "files of a form: [{ name = \"photo\", file = \"a.png\", type = \"image/png\" }], with `form` beside them",
    },
];

/// What one file of `upload` takes.
const UPLOAD: &[Param] = &[
    Param { name: "name", shape: Shape::Text, required: true, help: "the field's name" },
    Param { name: "file", shape: Shape::Text, required: true, help: "the file" },
    Param { name: "filename", shape: Shape::Text, required: false, help: "its name as told; default its own" },
    Param { name: "type", shape: Shape::Text, required: false, help: "media type; default application/octet-stream" },
];

struct Upload {
    name: String,
    file: String,
    told: String,
    media: String,
}

/// As the runbook says it.
enum What {
    Nothing,
    Text(Template),
    Secret(String),
    Json(Value),
    File(String),
    Form(Vec<(String, TextOrSecret)>, Vec<Upload>),
}

pub(in crate::kinds) struct Body(What);

/// With files read and secrets opened.
pub(in crate::kinds) enum Ready {
    Fixed(Option<&'static str>, Option<Bytes>),
    Text(Template),
    Json(Json),
    Form(Vec<(String, Template)>),
    Parts(Vec<(String, Template)>, Vec<Part>),
}

impl Body {
    pub fn read(params: &mut Params<'_>) -> Self {
        let keys = ["body", "body_json", "body_file", "form", "upload"];
        let given = keys.iter().copied().filter(|key| params.has(key)).collect::<Vec<_>>();
        if let [first, second, ..] = given.as_slice()
            && given != ["form", "upload"]
        {
            let span = params.place_of(second);
            params.mistake(span, format!("`{first}` and `{second}` are two bodies"), "one too many", None);
        }
        if params.has("upload") || params.has("form") {
            let fields = params.map("form");
            return Self(What::Form(fields, uploads(params)));
        }
        if let Some(json) = params.raw("body_json") {
            return Self(What::Json(json.clone()));
        }
        if let Some(path) = params.opt_text("body_file") {
            return Self(What::File(path));
        }
        Self(match params.opt_secret("body") {
            Some(TextOrSecret::Text(text)) => What::Text(Template::new(&text)),
            Some(TextOrSecret::Secret(name)) => What::Secret(name),
            None => What::Nothing,
        })
    }

    /// `body_json` alone, where the kind has no other.
    pub fn json(params: &mut Params<'_>) -> Option<Self> {
        Some(Self(What::Json(params.raw("body_json")?.clone())))
    }

    pub fn is_none(&self) -> bool {
        matches!(self.0, What::Nothing)
    }

    /// True where a secret of the runbook stands in it.
    pub fn holds_secret(&self) -> bool {
        match &self.0 {
            What::Secret(_) => true,
            What::Json(value) => secret_in(value),
            What::Form(fields, _) => fields.iter().any(|(_, value)| matches!(value, TextOrSecret::Secret(_))),
            What::Nothing | What::Text(_) | What::File(_) => false,
        }
    }

    /// The names that it is filled with, and the key that uses them.
    pub fn names(&self) -> Vec<(&'static str, String)> {
        let of = |key, names: Vec<String>| names.into_iter().map(|name| (key, name)).collect();
        match &self.0 {
            What::Text(template) => of("body", template.names().map(str::to_owned).collect()),
            What::Json(value) => of("body_json", names_of(value)),
            What::Form(fields, _) => {
                let texts = fields.iter().filter_map(|(_, value)| match value {
                    TextOrSecret::Text(text) => Some(Template::new(text)),
                    TextOrSecret::Secret(_) => None,
                });
                of("form", texts.flat_map(|one| one.names().map(str::to_owned).collect::<Vec<_>>()).collect())
            }
            What::Nothing | What::Secret(_) | What::File(_) => Vec::new(),
        }
    }

    /// Opens what it needs.
    pub async fn ready(&self, secrets: &Secrets) -> Result<Ready, Failure> {
        Ok(match &self.0 {
            What::Nothing => Ready::Fixed(None, None),
            What::Text(template) if template.names().next().is_none() => {
                let text = template.text(&Values::default()).into_owned();
                Ready::Fixed(Some(media_of(&text)), Some(text.into()))
            }
            What::Text(template) => Ready::Text(template.clone()),
            What::Secret(name) => {
                let text = secrets.open(name).await?;
                Ready::Fixed(Some(media_of(text.expose())), Some(text.expose().to_owned().into()))
            }
            What::Json(value) => Ready::Json(opened(value, secrets).await?),
            What::File(path) => {
                Ready::Fixed(Some("application/octet-stream"), Some(file("body_file", path, FILE).await?.into()))
            }
            What::Form(fields, files) => {
                let mut texts = Vec::with_capacity(fields.len());
                for (name, value) in fields {
                    texts.push((name.clone(), template_of(value, secrets).await?));
                }
                if files.is_empty() {
                    return Ok(Ready::Form(texts));
                }
                let mut parts = Vec::with_capacity(files.len());
                for one in files {
                    let content = file("upload", &one.file, FILE).await?.into();
                    let told = Some((one.told.clone(), one.media.clone()));
                    parts.push(Part { name: one.name.clone(), file: told, content });
                }
                Ready::Parts(texts, parts)
            }
        })
    }
}

impl Ready {
    /// The media type and the bytes.
    pub fn fill(&self, values: &Values) -> (Option<String>, Option<Bytes>) {
        match self {
            Self::Fixed(media, bytes) => (media.map(str::to_owned), bytes.clone()),
            Self::Text(template) => {
                let media = media_of(&template.written());
                let text = if media == JSON { template.json(values) } else { template.text(values).into_owned() };
                (Some(media.to_owned()), Some(text.into()))
            }
            Self::Json(json) => (Some(JSON.to_owned()), Some(fill_json(json, values).to_string().into())),
            Self::Form(fields) => {
                let mut url = super::address::stand_in();
                {
                    let mut pairs = url.query_pairs_mut();
                    for (name, template) in fields {
                        pairs.append_pair(name, &template.text(values));
                    }
                }
                let text = url.query().unwrap_or_default().to_owned();
                (Some("application/x-www-form-urlencoded".to_owned()), Some(text.into()))
            }
            Self::Parts(fields, files) => {
                let text = |(name, template): &(String, Template)| Part {
                    name: name.clone(),
                    file: None,
                    content: template.text(values).into_owned().into(),
                };
                let files = files.iter().map(|part| Part {
                    name: part.name.clone(),
                    file: part.file.clone(),
                    content: part.content.clone(),
                });
                let (media, bytes) = multipart(&fields.iter().map(text).chain(files).collect::<Vec<_>>());
                (Some(media), Some(bytes))
            }
        }
    }
}

const JSON: &str = "application/json";

/// What a text looks like.
fn media_of(text: &str) -> &'static str {
    if text.trim_start().starts_with(['{', '[']) { JSON } else { "text/plain; charset=utf-8" }
}

fn uploads(params: &mut Params<'_>) -> Vec<Upload> {
    let Some(raw) = params.raw("upload") else { return Vec::new() };
    let items = if let Kind::List(list) = &raw.kind { list.as_slice() } else { std::slice::from_ref(raw) };
    let mut files = Vec::new();
    for item in items {
        let Kind::Table(table) = &item.kind else {
            params.mistake(item.span.clone(), "`upload` is a list of files", "expected { name = …, file = … }", None);
            continue;
        };
        let mut inner = Params::new("upload", item.span.clone(), table, UPLOAD);
        let (name, file) = (inner.text("name"), inner.text("file"));
        let own = std::path::Path::new(&file).file_name().map(|name| name.to_string_lossy().into_owned());
        let told = inner.opt_text("filename").or(own).unwrap_or_default();
        let media = inner.opt_text("type").unwrap_or_else(|| "application/octet-stream".into());
        if crate::services::http::header_value(&media).is_err() {
            let span = inner.place_of("type");
            inner.mistake(span, "`type` is no media type", "cannot be sent", None);
        }
        params.absorb(inner);
        files.push(Upload { name, file, told, media });
    }
    files
}

/// A file that the runbook names.
pub(in crate::kinds) async fn file(key: &str, path: &str, most: u64) -> Result<Vec<u8>, Failure> {
    use tokio::io::AsyncReadExt as _;
    let shown = clean_line(path, 200);
    let bad = |what: String| Failure::new(Class::Misconfigured, format!("`{key}`: file {shown} {what}"));
    let found = match path.strip_prefix("~/").zip(std::env::home_dir()) {
        Some((rest, home)) => home.join(rest),
        None => path.into(),
    };
    let read = async {
        let file = tokio::fs::File::open(&found).await?;
        // A pipe that nobody writes to would never end.
        if !file.metadata().await?.is_file() {
            return Err(std::io::Error::other("it is no regular file"));
        }
        let mut bytes = Vec::new();
        file.take(most + 1).read_to_end(&mut bytes).await?;
        Ok(bytes)
    };
    let bytes = read.await.map_err(|e: std::io::Error| bad(format!("cannot be read: {e}")))?;
    if u64::try_from(bytes.len()).is_ok_and(|size| size > most) {
        return Err(bad(format!("holds more than {} MiB", most >> 20)));
    }
    Ok(bytes)
}

/// A text with its places; a secret has none, whatever it holds.
pub(in crate::kinds) async fn template_of(value: &TextOrSecret, secrets: &Secrets) -> Result<Template, Failure> {
    Ok(match value {
        TextOrSecret::Text(text) => Template::new(text),
        TextOrSecret::Secret(name) => Template::new(&literal(secrets.open(name).await?.expose())),
    })
}

/// Written so that no place is seen in it.
fn literal(text: &str) -> String {
    text.replace("{{", "{{{{")
}

fn names_of(value: &Value) -> Vec<String> {
    match &value.kind {
        Kind::Text(text) => Template::new(text).names().map(str::to_owned).collect(),
        Kind::List(list) => list.iter().flat_map(names_of).collect(),
        Kind::Table(table) => table.entries.iter().flat_map(|entry| names_of(&entry.value)).collect(),
        _ => Vec::new(),
    }
}

fn secret_in(value: &Value) -> bool {
    match &value.kind {
        Kind::Secret(_) => true,
        Kind::List(list) => list.iter().any(secret_in),
        Kind::Table(table) => table.entries.iter().any(|entry| secret_in(&entry.value)),
        _ => false,
    }
}

/// A runbook's value as JSON, secrets opened.
fn opened<'a>(value: &'a Value, secrets: &'a Secrets) -> futures_util::future::BoxFuture<'a, Result<Json, Failure>> {
    Box::pin(async move {
        Ok(match &value.kind {
            Kind::Secret(name) => Json::from(literal(secrets.open(name).await?.expose())),
            Kind::List(list) => {
                let mut all = Vec::with_capacity(list.len());
                for item in list {
                    all.push(opened(item, secrets).await?);
                }
                Json::Array(all)
            }
            Kind::Table(table) => {
                let mut all = serde_json::Map::new();
                for Entry { key, value, .. } in &table.entries {
                    all.insert(key.clone(), opened(value, secrets).await?);
                }
                Json::Object(all)
            }
            _ => super::json::json_of(value).unwrap_or(Json::Null),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::web::template::names_in;

    #[test]
    fn a_secret_is_no_template() {
        assert_eq!(Template::new(&literal("a{{b}}{{{{")).text(&Values::default()), "a{{b}}{{{{");
        assert!(names_in(&Json::from(literal("{{x}}"))).is_empty());
    }
}

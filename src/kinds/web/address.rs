//! Where a request goes: an address, one with captured values in it, or one that a secret holds.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use serde_json::Value as Json;

use super::{
    template::{Template, Values, plain},
    unfit,
};
use crate::{
    base::{Class, Failure, Secret},
    plan::{Params, TextOrSecret},
    services::{Secrets, http::place},
};

/// What stays as it is where a value is filled into an address (RFC 3986, section 2.3).
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where to.
pub(super) enum To {
    Url(Url),
    Filled(Template, Option<Url>),
    Secret(String),
}

impl To {
    /// `base`: what it is relative to.
    pub fn read(params: &mut Params<'_>, base: Option<&Url>) -> Self {
        read(params, base).unwrap_or_else(|| Self::Url(stand_in()))
    }

    /// Names of the values that it is filled with.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Filled(template, _) => template.names().map(str::to_owned).collect(),
            Self::Url(_) | Self::Secret(_) => Vec::new(),
        }
    }

    /// `https://shop.acme.example/orders/{{id}}`.
    pub fn words(&self) -> String {
        match self {
            Self::Url(url) => url.to_string(),
            Self::Filled(template, Some(base)) if template.written().starts_with('/') => {
                format!("{}{}", place(base), template.written())
            }
            Self::Filled(template, _) => template.written(),
            Self::Secret(name) => format!("${{secret.{name}}}"),
        }
    }

    /// The server, where it is the same every time.
    pub fn server(&self) -> Option<&Url> {
        match self {
            Self::Url(url) => Some(url),
            Self::Filled(_, base) => base.as_ref(),
            Self::Secret(_) => None,
        }
    }

    /// The address, unless it is filled each time anew.
    ///
    /// # Errors
    /// The secret is not there, or no address.
    pub async fn open(&self, secrets: &Secrets) -> Result<Option<Url>, Failure> {
        match self {
            Self::Url(url) => Ok(Some(url.clone())),
            Self::Filled(..) => Ok(None),
            Self::Secret(name) => secret_url(name, secrets).await.map(Some),
        }
    }

    /// The address with values in it; `opened` where it takes none.
    ///
    /// # Errors
    /// `NotYet`: a value cannot stand where it is to be used.
    pub fn fill(&self, opened: Option<&Url>, values: &Values) -> Result<Url, Failure> {
        match (opened, self) {
            (Some(url), _) | (None, Self::Url(url)) => Ok(url.clone()),
            (None, Self::Filled(template, base)) => fill(template, base.as_ref(), values),
            (None, Self::Secret(_)) => Ok(stand_in()),
        }
    }
}

fn read(params: &mut Params<'_>, base: Option<&Url>) -> Option<To> {
    let text = match params.opt_secret("url")? {
        TextOrSecret::Secret(name) => return Some(To::Secret(name)),
        TextOrSecret::Text(text) => text.trim().to_owned(),
    };
    let parse = |text: &str| match base {
        Some(base) => base.join(text),
        None => Url::parse(text),
    };
    let template = Template::new(&text);
    let named = template.names().next().is_some();
    let tried = if template.alone().is_some() {
        // Where an answer leads.
        base.map_or_else(|| Ok(stand_in()), |base| Ok(base.clone()))
    } else {
        parse(&sample(&template, "x"))
    };
    let problem = match tried {
        Ok(url) => match problem(&url) {
            None if named && template.alone().is_none() && !same_server(&url, parse(&sample(&template, "y"))) => {
                "what is captured may not choose the server".to_owned()
            }
            None if named => return Some(To::Filled(template, base.cloned().or(Some(url)))),
            None => return Some(To::Url(url)),
            Some(problem) => problem,
        },
        Err(e) => e.to_string(),
    };
    let span = params.place_of("url");
    params.mistake(span, format!("`url` is no web address: {problem}"), "not a web address", None);
    None
}

/// What is wrong with an address.
pub(in crate::kinds) fn problem(url: &Url) -> Option<String> {
    if !matches!(url.scheme(), "http" | "https") {
        return Some("must begin with http:// or https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Some("must not carry a user or a password; give `user` and `password`, or `bearer`".to_owned());
    }
    None
}

fn sample(template: &Template, with: &str) -> String {
    let how = |_: &str, _: &Json| Ok::<_, std::convert::Infallible>(with.to_owned());
    match template.fill(&Values::default(), how) {
        Ok(text) => text.into_owned(),
        Err(never) => match never {},
    }
}

fn same_server<E>(one: &Url, other: Result<Url, E>) -> bool {
    other.is_ok_and(|other| one.origin() == other.origin())
}

fn fill(template: &Template, base: Option<&Url>, values: &Values) -> Result<Url, Failure> {
    let join = |text: &str| match base {
        Some(base) => base.join(text),
        None => Url::parse(text),
    };
    if let Some(name) = template.alone() {
        let text = values.get(name).map(plain).unwrap_or_default();
        let url = join(&text).map_err(|e| unfit(name, &format!("no web address: {e}")))?;
        if let Some(problem) = problem(&url) {
            return Err(unfit(name, &problem));
        }
        if base.is_some_and(|base| base.scheme() == "https") && url.scheme() == "http" {
            return Err(unfit(name, "it leads from https to http"));
        }
        return Ok(url);
    }
    let how = |name: &str, value: &Json| {
        let text = plain(value);
        if matches!(&*text, "" | "." | "..") {
            return Err(unfit(name, "nothing, or a way to another path"));
        }
        Ok(utf8_percent_encode(&text, KEPT).to_string())
    };
    let text = template.fill(values, how)?;
    join(&text).map_err(|e| unfit(template.names().next().unwrap_or_default(), &format!("no web address: {e}")))
}

/// The address that a secret holds. What stands in it is learnt with it.
pub(in crate::kinds) async fn secret_url(name: &str, secrets: &Secrets) -> Result<Url, Failure> {
    let text = secrets.open(name).await?;
    let bad = |what: &str| Failure::new(Class::Misconfigured, format!("secret `{name}` is no web address: {what}"));
    // The parser's words could hold a part of it.
    let url = Url::parse(text.expose().trim()).map_err(|_| bad("it cannot be read as one"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("it must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("it must not carry a user or a password"));
    }
    // Servers repeat the path and what it asks with in their answers, and there stand the signatures.
    let query = url.query().unwrap_or_default();
    let values = query.split('&').filter_map(|pair| Some(pair.split_once('=')?.1));
    let decoded = url.query_pairs().map(|(_, value)| value.into_owned());
    let written = [url.path(), query, url.as_str()].into_iter().chain(values).map(str::to_owned);
    for part in written.chain(decoded).filter(|part| part.len() >= 8) {
        secrets.learn(&Secret::new(part));
    }
    Ok(url)
}

/// A stand-in; it is never asked, because a mistake was recorded.
#[expect(clippy::unwrap_used, reason = "a literal that parses")]
pub(in crate::kinds) fn stand_in() -> Url {
    Url::parse("http://localhost/").unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captured_values_stay_in_their_part_of_an_address() {
        let base = Url::parse("https://shop.example/").unwrap();
        let fill = |text: &str, value: &str| {
            let mut values = Values::default();
            values.set("id", Json::from(value));
            super::fill(&Template::new(text), Some(&base), &values).map(|url| url.to_string()).map_err(|e| e.message)
        };
        assert_eq!(fill("/o/{{id}}?q={{id}}", "a/b?c#d&é").unwrap(), {
            let text = "a%2Fb%3Fc%23d%26%C3%A9";
            format!("https://shop.example/o/{text}?q={text}")
        });
        assert!(fill("/o/{{id}}", "..").is_err());
        assert_eq!(fill("{{id}}", "/o/7").unwrap(), "https://shop.example/o/7");
        assert_eq!(fill("{{id}}", "https://other.example/").unwrap(), "https://other.example/");
        for bad in ["http://shop.example/", "file:///etc/passwd", "https://u:p@shop.example/"] {
            assert!(fill("{{id}}", bad).is_err(), "{bad}");
        }
    }
}

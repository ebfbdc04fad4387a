//! One request as a runbook writes it, and as it is sent.

use base64::Engine as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{
    Method, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value as Json;

use super::{
    body::{Body, Ready as ReadyBody},
    template::{Template, Values, plain},
    unfit, within,
};
use crate::{
    base::{Class, Failure, Secret, clean_line},
    plan::{Param, Params, Shape, TextOrSecret},
    services::{
        Secrets,
        http::{REDIRECTS, Request, header_name, header_value, place, reads},
    },
};

/// What stays as it is where a value is filled into an address (RFC 3986, section 2.3).
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a request takes beside its address and body.
pub(in crate::kinds) const PARAMS: &[Param] = &[
    Param {
        name: "method",
        shape: Shape::Text,
        required: false,
        help: "request method; default GET, POST with a body",
    },
    Param {
        name: "headers",
        shape: Shape::Map,
        required: false,
        help: "headers to send: texts, or secrets standing alone",
    },
    Param {
        name: "bearer",
        shape: Shape::TextOrSecret,
        required: false,
        help: "token to send as `Authorization: Bearer …`",
    },
    Param { name: "user", shape: Shape::Text, required: false, help: "user of basic authentication" },
    Param { name: "password", shape: Shape::TextOrSecret, required: false, help: "its password" },
];

/// How redirects are followed.
pub(in crate::kinds) const FOLLOW: &[Param] = &[
    Param { name: "follow", shape: Shape::Flag, required: false, help: "follow redirects; default false" },
    Param { name: "max_redirects", shape: Shape::Count, required: false, help: "how many are followed; default 10" },
    Param {
        name: "redirects",
        shape: Shape::Texts,
        required: false,
        help: "addresses that the redirects must lead to, in order; [] for none; a \"*\" at the end matches the rest",
    },
];

/// Where to.
enum To {
    Url(Url),
    Filled(Template, Option<Url>),
    Secret(String),
}

/// A request as the runbook writes it.
pub(in crate::kinds) struct Ask {
    pub method: Method,
    to: To,
    headers: Vec<(HeaderName, TextOrSecret)>,
    user: Option<String>,
    word: Option<TextOrSecret>,
    body: Body,
    follow: usize,
}

/// A request with files read and secrets opened, to be filled and sent any number of times.
pub(in crate::kinds) struct Ready<'a> {
    ask: &'a Ask,
    url: Option<Url>,
    headers: HeaderMap,
    filled: Vec<(&'a HeaderName, Template)>,
    body: ReadyBody,
}

impl Ask {
    /// `base`: what the address is relative to. `names`: values that may be filled in.
    pub fn read(params: &mut Params<'_>, base: Option<&Url>, names: &[String]) -> Self {
        let to = to(params, base).unwrap_or_else(|| To::Url(stand_in()));
        let body = Body::read(params);
        let method = method(params, !body.is_none());
        let mut follow = 0;
        if !params.takes("follow") {
            // A request that changes something is not sent on.
        } else if params.opt_flag("follow").unwrap_or(false) {
            follow =
                if params.has("max_redirects") { within(params, "max_redirects", 1, 50) } else { REDIRECTS as u64 };
        } else if params.has("max_redirects") {
            let span = params.place_of("max_redirects");
            params.mistake(span, "`max_redirects` needs `follow = true`", "nothing is followed", None);
        }
        let user = params.opt_text("user");
        let word = params.opt_secret("password");
        if user.is_some() != word.is_some() {
            let span = params.place_of(if user.is_some() { "user" } else { "password" });
            params.mistake(span, "`user` and `password` go together", "the other one is missing", None);
        }
        let bearer = params.opt_secret("bearer");
        if bearer.is_some() && user.is_some() {
            let span = params.place_of("bearer");
            params.mistake(span, "`bearer` and `user` are two ways to say who we are", "one too many", None);
        }
        let ask = Self {
            method,
            to,
            headers: headers(params),
            user,
            word: word.or(bearer),
            body,
            follow: usize::try_from(follow).unwrap_or(REDIRECTS),
        };
        for (key, name) in ask.names() {
            known(params, key, &name, names);
        }
        ask
    }

    /// The names that it is filled with, and the key that uses them.
    fn names(&self) -> Vec<(&'static str, String)> {
        let mut names = self.body.names();
        if let To::Filled(template, _) = &self.to {
            names.extend(template.names().map(|name| ("url", name.to_owned())));
        }
        for (_, value) in &self.headers {
            if let TextOrSecret::Text(text) = value {
                names.extend(Template::new(text).names().map(|name| ("headers", name.to_owned())));
            }
        }
        if let Some(TextOrSecret::Text(text)) = &self.word {
            let key = if self.user.is_some() { "password" } else { "bearer" };
            names.extend(Template::new(text).names().map(|name| (key, name.to_owned())));
        }
        names
    }

    /// `GET https://shop.acme.example/orders/{{id}}`.
    pub fn words(&self) -> String {
        let to = match &self.to {
            To::Url(url) => url.to_string(),
            To::Filled(template, Some(base)) if template.written().starts_with('/') => {
                format!("{}{}", place(base), template.written())
            }
            To::Filled(template, _) => template.written(),
            To::Secret(name) => format!("${{secret.{name}}}"),
        };
        clean_line(&format!("{} {to}", self.method), 200)
    }

    /// The address, where it is the same every time.
    pub fn url(&self) -> Option<&Url> {
        match &self.to {
            To::Url(url) => Some(url),
            To::Filled(_, base) => base.as_ref(),
            To::Secret(_) => None,
        }
    }

    /// Opens what it needs.
    pub async fn ready(&self, secrets: &Secrets) -> Result<Ready<'_>, Failure> {
        let url = match &self.to {
            To::Url(url) => Some(url.clone()),
            To::Filled(..) => None,
            To::Secret(name) => Some(secret_url(name, secrets).await?),
        };
        let (mut headers, mut filled) = (HeaderMap::new(), Vec::new());
        for (name, value) in &self.headers {
            let template = super::body::template_of(value, secrets).await?;
            if template.names().next().is_some() {
                filled.push((name, template));
                continue;
            }
            let mut header = header_value(&template.text(&Values::default())).map_err(|_| {
                Failure::new(Class::Misconfigured, format!("the secret for header `{name}` cannot stand in a header"))
            })?;
            header.set_sensitive(matches!(value, TextOrSecret::Secret(_)));
            headers.append(name, header);
        }
        if let Some(word) = &self.word {
            let template = super::body::template_of(word, secrets).await?;
            if template.names().next().is_some() && self.user.is_none() {
                let bearer = Template::new(&format!("Bearer {}", template.written()));
                filled.push((&AUTHORIZATION, bearer));
            } else {
                headers.insert(AUTHORIZATION, self.authorization(&template.text(&Values::default()), secrets)?);
            }
        }
        let body = self.body.ready(secrets).await?;
        Ok(Ready { ask: self, url, headers, filled, body })
    }

    fn authorization(&self, word: &str, secrets: &Secrets) -> Result<HeaderValue, Failure> {
        let text = match &self.user {
            Some(user) => {
                let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{word}"));
                // Whoever can read it can read the password.
                secrets.learn(&Secret::new(encoded.clone()));
                format!("Basic {encoded}")
            }
            None => format!("Bearer {word}"),
        };
        let mut header = header_value(&text)
            .map_err(|_| Failure::new(Class::Misconfigured, "the secret of `bearer` cannot stand in a header"))?;
        header.set_sensitive(true);
        Ok(header)
    }
}

impl Ready<'_> {
    /// The request, filled.
    ///
    /// # Errors
    /// `NotYet`: what an earlier answer held cannot stand where it is to be used.
    pub fn request(&self, values: &Values, timeout: std::time::Duration, most: usize) -> Result<Request, Failure> {
        let url = match (&self.url, &self.ask.to) {
            (Some(url), _) => url.clone(),
            (None, To::Filled(template, base)) => fill_url(template, base.as_ref(), values)?,
            (None, To::Url(url)) => url.clone(),
            (None, To::Secret(_)) => stand_in(),
        };
        let mut headers = self.headers.clone();
        for (name, template) in &self.filled {
            let text = template.text(values);
            let used = template.names().next().unwrap_or_default();
            let mut value = header_value(&text).map_err(|why| unfit(used, &why))?;
            // What a server said to us is for that server.
            value.set_sensitive(true);
            headers.append((*name).clone(), value);
        }
        let (media, body) = self.body.fill(values);
        if let Some(media) = media
            && !headers.contains_key(CONTENT_TYPE)
            && let Ok(media) = HeaderValue::from_str(&media)
        {
            headers.insert(CONTENT_TYPE, media);
        }
        if let Some(base) = self.ask.url()
            && (base.host_str(), base.port_or_known_default()) != (url.host_str(), url.port_or_known_default())
        {
            // An address that an answer named: nothing secret goes to it.
            let secret = |(name, value): (&HeaderName, &HeaderValue)| value.is_sensitive().then(|| name.clone());
            for name in headers.iter().filter_map(secret).collect::<Vec<_>>() {
                headers.remove(name);
            }
        }
        let follow = self.ask.follow;
        Ok(Request { method: self.ask.method.clone(), url, headers, body, follow, timeout, most })
    }
}

/// A value that nothing has captured is a mistake.
pub(in crate::kinds) fn known(params: &mut Params<'_>, key: &str, name: &str, names: &[String]) {
    if names.iter().any(|known| known == name) {
        return;
    }
    let help = match crate::plan::nearest(name, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{{{{{near}}}}}`?"),
        None => format!("known here: {}; a `{{{{` that is meant is written `{{{{{{{{`", names.join(", ")),
    };
    let span = params.place_of(key);
    params.mistake(span, format!("nothing fills in `{{{{{name}}}}}` here"), "unknown value", Some(help));
}

fn to(params: &mut Params<'_>, base: Option<&Url>) -> Option<To> {
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

fn fill_url(template: &Template, base: Option<&Url>, values: &Values) -> Result<Url, Failure> {
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
    // Servers repeat the path in their answers.
    for part in [url.path().to_owned(), url.to_string()] {
        if part.len() > 8 {
            secrets.learn(&Secret::new(part));
        }
    }
    Ok(url)
}

fn method(params: &mut Params<'_>, body: bool) -> Method {
    let default = if body { Method::POST } else { Method::GET };
    let Some(text) = params.opt_text("method") else { return default };
    let found = Method::from_bytes(text.to_uppercase().as_bytes()).ok().filter(|method| *method != Method::CONNECT);
    found.unwrap_or_else(|| {
        let span = params.place_of("method");
        params.mistake(span, "`method` is no request method", "expected GET, HEAD, POST, …", None);
        default
    })
}

fn headers(params: &mut Params<'_>) -> Vec<(HeaderName, TextOrSecret)> {
    let mut found = Vec::new();
    for (name, value) in params.map("headers") {
        let fits = match &value {
            TextOrSecret::Text(text) => header_value(text).is_ok(),
            TextOrSecret::Secret(_) => true,
        };
        // The length is the body's, and the connection is ours.
        let ours = ["content-length", "transfer-encoding", "connection", "upgrade"].contains(&&*name.to_lowercase());
        match header_name(&name) {
            Some(name) if fits && !ours => found.push((name, value)),
            _ => {
                let span = params.place_of("headers");
                let message = format!("`{}` is no header that can be sent", clean_line(&name, 60));
                params.mistake(span, message, "in this table", None);
            }
        }
    }
    found
}

/// True for a method that only asks.
pub(in crate::kinds) fn only_asks(ask: &Ask) -> bool {
    reads(&ask.method)
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
            fill_url(&Template::new(text), Some(&base), &values).map(|url| url.to_string()).map_err(|e| e.message)
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

//! One request as a runbook writes it, and as it is sent.

use base64::Engine as _;
use reqwest::{
    Method, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};

use super::{
    address::To,
    body::{Body, Ready as ReadyBody},
    template::{Template, Values},
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
        let to = To::read(params, base);
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
        if user.is_some()
            && let Some(TextOrSecret::Text(text)) = &word
            && Template::new(text).names().next().is_some()
        {
            let help = Some("capture it as it is sent, and send it by `headers` or `bearer`".into());
            params.mistake(params.place_of("password"), "`password` takes no captured value", "not filled in", help);
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
        names.extend(self.to.names().into_iter().map(|name| ("url", name)));
        for (_, value) in &self.headers {
            if let TextOrSecret::Text(text) = value {
                names.extend(Template::new(text).names().map(|name| ("headers", name.to_owned())));
            }
        }
        if let Some(TextOrSecret::Text(text)) = &self.word
            && self.user.is_none()
        {
            names.extend(Template::new(text).names().map(|name| ("bearer", name.to_owned())));
        }
        names
    }

    /// `GET https://shop.acme.example/orders/{{id}}`.
    pub fn words(&self) -> String {
        clean_line(&format!("{} {}", self.method, self.to.words()), 200)
    }

    /// The server, where it is the same every time.
    pub fn url(&self) -> Option<&Url> {
        self.to.server()
    }

    /// Opens what it needs.
    pub async fn ready(&self, secrets: &Secrets) -> Result<Ready<'_>, Failure> {
        let url = self.to.open(secrets).await?;
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
        let url = self.ask.to.fill(self.url.as_ref(), values)?;
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
            if self.ask.body.holds_secret() {
                let why = format!("the answer led to {}, and the body holds a secret", place(&url));
                return Err(Failure::new(Class::Refused, why).hint("what is secret goes to the server of `url` only"));
            }
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

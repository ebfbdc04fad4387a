//! Who is told, and what each takes for an answer.

use std::time::Duration;

use reqwest::{Url, header::HeaderName};
use serde_json::{Value as Json, json};

use super::{
    message::{Message, NAMES, template},
    post,
    statuspage::Statuspage,
};
use crate::{
    base::{Class, Failure, clean_line},
    kinds::{
        filled,
        web::{
            address::{problem, secret_url, stand_in},
            ask::known,
            body::{Body, template_of},
            template::{Template, Values, plain},
        },
    },
    plan::{Cx, Params, TextOrSecret},
    services::{
        Services,
        http::{Reply, Request, header_name, header_value},
    },
};

/// Where PagerDuty takes events.
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

/// Who.
pub(super) enum Receiver {
    Slack(Slack),
    Teams(Teams),
    PagerDuty(PagerDuty),
    Statuspage(Statuspage),
    Webhook(Webhook),
}

pub(super) struct Slack {
    url: To,
    message: Message,
    mention: &'static str,
}

pub(super) struct Teams {
    url: To,
    message: Message,
}

pub(super) struct PagerDuty {
    url: To,
    key: TextOrSecret,
    event: &'static str,
    dedup: Option<Template>,
    severity: &'static str,
    source: Option<Template>,
    message: Message,
}

pub(super) struct Webhook {
    url: To,
    headers: Vec<(HeaderName, TextOrSecret)>,
    body: Option<Body>,
    message: Message,
}

/// An address, or the secret that holds it.
pub(super) enum To {
    Url(Url),
    Secret(String),
}

impl To {
    pub fn read(params: &mut Params<'_>, default: Option<&str>) -> Self {
        let text = match params.opt_secret("url") {
            Some(TextOrSecret::Secret(name)) => return Self::Secret(name),
            Some(TextOrSecret::Text(text)) => text,
            None => {
                if default.is_none() {
                    let span = params.place();
                    params.mistake(span, "`notify` needs `url` here", "nobody is told", None);
                }
                default.unwrap_or("http://localhost/").to_owned()
            }
        };
        let parsed = Url::parse(text.trim()).map_err(|e| e.to_string());
        let checked = parsed.and_then(|url| problem(&url).map_or_else(|| Ok(url), Err));
        Self::Url(checked.unwrap_or_else(|problem| {
            let span = params.place_of("url");
            params.mistake(span, format!("`url` is no web address: {problem}"), "not a web address", None);
            stand_in()
        }))
    }

    pub async fn open(&self, services: &Services) -> Result<Url, Failure> {
        match self {
            Self::Url(url) => Ok(url.clone()),
            Self::Secret(name) => secret_url(name, &services.secrets).await,
        }
    }

    pub fn url(&self) -> Option<&Url> {
        match self {
            Self::Url(url) => Some(url),
            Self::Secret(_) => None,
        }
    }

    /// Never the address itself: it may be a password.
    pub fn words(&self) -> String {
        match self {
            Self::Url(url) => crate::services::http::place(url),
            Self::Secret(name) => format!("${{secret.{name}}}"),
        }
    }
}

/// What one receiver alone understands.
const ONLY: [(&str, &[&str]); 15] = [
    ("title", &["slack", "teams"]),
    ("facts", &["slack", "teams", "pagerduty"]),
    ("mention", &["slack"]),
    ("headers", &["webhook"]),
    ("body_json", &["webhook"]),
    ("routing_key", &["pagerduty"]),
    ("event", &["pagerduty"]),
    ("dedup_key", &["pagerduty"]),
    ("severity", &["pagerduty"]),
    ("source", &["pagerduty"]),
    ("page", &["statuspage"]),
    ("token", &["statuspage"]),
    ("status", &["statuspage"]),
    ("impact", &["statuspage"]),
    ("components", &["statuspage"]),
];

impl Receiver {
    pub fn read(params: &mut Params<'_>) -> Self {
        let all = ["slack", "teams", "pagerduty", "statuspage", "webhook"];
        let words = all.map(|word| (word, word));
        let to = params.word("to", &words);
        let stray = ONLY.iter().filter(|(key, whom)| !whom.contains(&to) && params.has(key));
        for (key, whom) in stray.collect::<Vec<_>>() {
            let span = params.place_of(key);
            params.mistake(span, format!("`{key}` is for {}", whom.join(", ")), "has no use here", None);
        }
        match to {
            "teams" => Self::Teams(Teams { url: To::read(params, None), message: Message::read(params, true) }),
            "pagerduty" => Self::PagerDuty(PagerDuty::read(params)),
            "statuspage" => Self::Statuspage(Statuspage::read(params)),
            "webhook" => Self::Webhook(Webhook::read(params)),
            _ => Self::Slack(Slack {
                url: To::read(params, None),
                message: Message::read(params, true),
                mention: params.word("mention", &[("nobody", ""), ("here", "<!here> "), ("channel", "<!channel> ")]),
            }),
        }
    }

    /// The address, where the runbook says it.
    pub fn url(&self) -> Option<&Url> {
        self.to().url()
    }

    fn to(&self) -> &To {
        match self {
            Self::Slack(it) => &it.url,
            Self::Teams(it) => &it.url,
            Self::PagerDuty(it) => &it.url,
            Self::Statuspage(it) => &it.url,
            Self::Webhook(it) => &it.url,
        }
    }

    /// Who, for people.
    pub fn words(&self) -> &'static str {
        match self {
            Self::Slack(_) => "Slack",
            Self::Teams(_) => "Teams",
            Self::PagerDuty(_) => "PagerDuty",
            Self::Statuspage(_) => "Statuspage",
            Self::Webhook(_) => "the webhook",
        }
    }

    pub fn does(&self) -> Vec<String> {
        let what = match self {
            Self::Slack(it) => it.message.text.written(),
            Self::Teams(it) => it.message.text.written(),
            Self::PagerDuty(it) => format!("{} {}", it.event, it.message.text.written()),
            Self::Statuspage(it) => it.does(),
            Self::Webhook(it) => it.message.text.written(),
        };
        vec![clean_line(&format!("tell {} at {}: {what}", self.words(), self.to().words()), 300)]
    }

    /// The request, secrets opened.
    pub async fn request(
        &self,
        cx: &Cx,
        services: &Services,
        values: &Values,
        timeout: Duration,
    ) -> Result<Request, Failure> {
        let url = self.to().open(services).await?;
        Ok(match self {
            Self::Slack(it) => post(url, &it.message.slack(values, it.mention), timeout),
            Self::Teams(it) => post(url, &it.message.teams(values), timeout),
            Self::PagerDuty(it) => {
                let key = services.secrets.text(&it.key).await?;
                post(url, &it.event(cx, key.expose(), values), timeout)
            }
            Self::Statuspage(it) => it.request(cx, services, url, values, timeout).await?,
            Self::Webhook(it) => it.request(services, url, values, timeout).await?,
        })
    }

    /// What the answer says beside "taken", or why it was not taken.
    pub fn judge(&self, reply: &Reply) -> Result<Json, String> {
        if !reply.status.is_success() {
            return Err("it did not take the message".to_owned());
        }
        let text = String::from_utf8_lossy(&reply.body);
        match self {
            // Slack says so in words; whatever else answers there is not Slack.
            Self::Slack(_) if text.trim() != "ok" => Err("the answer is not Slack's \"ok\"".to_owned()),
            // Workflows answer 202 without a body; older connectors say 1, or what went wrong, with a 200.
            Self::Teams(_) if !(text.trim().is_empty() || text.trim() == "1" || reply.status.as_u16() == 202) => {
                Err("the answer is not Teams'".to_owned())
            }
            Self::PagerDuty(_) => {
                let json = serde_json::from_slice::<Json>(&reply.body).unwrap_or_default();
                if json["status"] != "success" {
                    return Err("the answer is not PagerDuty's \"success\"".to_owned());
                }
                Ok(json!({ "dedup_key": json["dedup_key"] }))
            }
            Self::Statuspage(_) => {
                let json = serde_json::from_slice::<Json>(&reply.body).unwrap_or_default();
                match json["id"].as_str() {
                    Some(id) => Ok(json!({ "incident": clean_line(id, 60) })),
                    None => Err("the answer names no incident".to_owned()),
                }
            }
            Self::Slack(_) | Self::Teams(_) | Self::Webhook(_) => Ok(Json::Null),
        }
    }
}

impl PagerDuty {
    fn read(params: &mut Params<'_>) -> Self {
        let event =
            params.word("event", &[("trigger", "trigger"), ("acknowledge", "acknowledge"), ("resolve", "resolve")]);
        let dedup = template(params, "dedup_key");
        if event != "trigger" && dedup.is_none() {
            let span = params.place_of("event");
            params.mistake(span, format!("`{event}` needs the `dedup_key` of its trigger"), "which alert?", None);
        }
        let key = params.opt_secret("routing_key").unwrap_or_else(|| {
            let span = params.place();
            params.mistake(span, "`notify` needs `routing_key` here", "nobody is told", None);
            TextOrSecret::Text(String::new())
        });
        let severities = ["info", "warning", "error", "critical"].map(|word| (word, word));
        Self {
            url: To::read(params, Some(PAGERDUTY)),
            key,
            event,
            dedup,
            severity: params.word("severity", &severities),
            source: template(params, "source"),
            message: Message::read(params, event == "trigger"),
        }
    }

    /// An event of the Events API v2.
    fn event(&self, cx: &Cx, key: &str, values: &Values) -> Json {
        let dedup = self.dedup.as_ref().map_or_else(|| cx.token.clone(), |dedup| dedup.text(values).into_owned());
        // The API's own limits.
        let cut = |text: &str, most: usize| text.chars().take(most).collect::<String>();
        let mut event = json!({ "routing_key": key, "event_action": self.event, "dedup_key": cut(&dedup, 255) });
        if self.event == "trigger" {
            let source = self.source.as_ref().map(|source| source.text(values).into_owned());
            let source = source.or_else(|| values.get("env").map(|env| plain(env).into_owned())).unwrap_or_default();
            event["payload"] = json!({
                "summary": cut(&self.message.text(values), 1024),
                "source": source,
                "severity": self.severity,
                "component": values.get("step"),
                "custom_details": self.message.details(values),
            });
            event["client"] = json!("gonogo");
        }
        event
    }
}

impl Webhook {
    fn read(params: &mut Params<'_>) -> Self {
        let body = Body::json(params);
        let own = body.is_some();
        let names = NAMES.map(str::to_owned);
        for (key, name) in body.iter().flat_map(Body::names) {
            known(params, key, &name, &names);
        }
        let mut headers = Vec::new();
        for (name, value) in params.map("headers") {
            match header_name(&name) {
                Some(name) => headers.push((name, value)),
                None => {
                    let span = params.place_of("headers");
                    let message = format!("`{}` is no header that can be sent", clean_line(&name, 60));
                    params.mistake(span, message, "in this table", None);
                }
            }
        }
        Self { url: To::read(params, None), headers, body, message: Message::read(params, !own) }
    }

    async fn request(
        &self,
        services: &Services,
        url: Url,
        values: &Values,
        timeout: Duration,
    ) -> Result<Request, Failure> {
        let text = self.message.text(values);
        let own = json!({
            "text": text, "step": values.get("step"), "attempt": values.get("attempt"), "env": values.get("env"),
        });
        let mut request = post(url, &own, timeout);
        if let Some(body) = &self.body {
            request.body = body.ready(&services.secrets).await?.fill(values).1;
        }
        for (name, value) in &self.headers {
            let text = template_of(value, &services.secrets).await?;
            let mut header = header_value(&text.text(values)).map_err(|_| {
                Failure::new(Class::Misconfigured, format!("the secret for header `{name}` cannot stand in a header"))
            })?;
            header.set_sensitive(matches!(value, TextOrSecret::Secret(_)));
            request.headers.insert(name, header);
        }
        Ok(request)
    }
}

/// A text that may be left out, told where it is needed.
pub(super) fn needed(params: &mut Params<'_>, key: &'static str) -> String {
    filled(params, key).unwrap_or_else(|| {
        let span = params.place();
        params.mistake(span, format!("`notify` needs `{key}` here"), "nobody is told", None);
        String::new()
    })
}

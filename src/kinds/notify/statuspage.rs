//! Statuspage: incidents that are opened and updated by its API.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, Url, header::AUTHORIZATION};
use serde_json::{Map, Value as Json, json};

use super::{
    message::{Message, template},
    post,
    receiver::{To, needed},
};
use crate::{
    base::{Class, Failure, StepId, clean_line},
    kinds::web::template::{Template, Values},
    plan::{Cx, Params, TextOrSecret},
    services::{
        Services,
        http::{BODY, Reply, Request, header_value},
    },
};

/// Where the API is.
const API: &str = "https://api.statuspage.io/v1";
/// What an incident may be.
const STATUSES: [&str; 8] =
    ["investigating", "identified", "monitoring", "resolved", "scheduled", "in_progress", "verifying", "completed"];
const IMPACTS: [&str; 5] = ["none", "minor", "major", "critical", "maintenance"];
const COMPONENTS: [&str; 5] =
    ["operational", "under_maintenance", "degraded_performance", "partial_outage", "major_outage"];

pub(super) struct Statuspage {
    pub url: To,
    page: String,
    token: TextOrSecret,
    which: Which,
    status: Option<&'static str>,
    impact: Option<&'static str>,
    components: Vec<(String, String)>,
    message: Message,
}

/// Which incident.
enum Which {
    /// A new one of this name.
    New(Template),
    /// A known one.
    Known(String),
    /// The one that a step opened.
    Of(StepId),
}

fn one_of(params: &mut Params<'_>, key: &'static str, words: &[&'static str]) -> Option<&'static str> {
    if !params.has(key) {
        return None;
    }
    Some(params.word(key, &words.iter().map(|word| (*word, *word)).collect::<Vec<_>>()))
}

impl Statuspage {
    pub fn read(params: &mut Params<'_>) -> Self {
        let ways = ["name", "incident", "after"];
        if ways.iter().filter(|key| params.has(key)).count() != 1 {
            let span = params.place();
            let message = "`notify` needs `name` to open an incident, or `incident` or `after` to update one";
            params.mistake(span, message, "which incident?", None);
        }
        let which = if let Some(name) = template(params, "name") {
            Which::New(name)
        } else if let Some(step) = params.has("after").then(|| params.step_ref("after")).flatten() {
            Which::Of(step)
        } else {
            Which::Known(params.opt_text("incident").unwrap_or_default())
        };
        let token = params.opt_secret("token").unwrap_or_else(|| {
            let span = params.place();
            params.mistake(span, "`notify` needs `token` here", "nobody is told", None);
            TextOrSecret::Text(String::new())
        });
        let mut components = Vec::new();
        for (id, state) in params.map("components") {
            match state {
                TextOrSecret::Text(state) if COMPONENTS.contains(&state.as_str()) => components.push((id, state)),
                _ => {
                    let span = params.place_of("components");
                    let message = format!("`{}` must be one of {}", clean_line(&id, 60), COMPONENTS.join(", "));
                    params.mistake(span, message, "in this table", None);
                }
            }
        }
        Self {
            url: To::read(params, Some(API)),
            page: needed(params, "page"),
            token,
            which,
            status: one_of(params, "status", &STATUSES),
            impact: one_of(params, "impact", &IMPACTS),
            components,
            message: Message::read(params, false),
        }
    }

    pub fn does(&self) -> String {
        let status = self.status.map(|status| format!(" ({status})")).unwrap_or_default();
        let text = self.message.text.written();
        match &self.which {
            Which::New(name) => format!("open incident \"{}\"{status}: {text}", name.written()),
            Which::Known(id) => format!("update incident {id}{status}: {text}"),
            Which::Of(step) => format!("update the incident of step {step}{status}: {text}"),
        }
    }

    fn address(&self, base: &Url, rest: &str) -> Result<Url, Failure> {
        let page = utf8_percent_encode(&self.page, NON_ALPHANUMERIC);
        let base = base.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}/pages/{page}/incidents{rest}"))
            .map_err(|_| Failure::new(Class::Misconfigured, "the address of the API cannot be used"))
    }

    async fn signed(&self, services: &Services, mut request: Request) -> Result<Request, Failure> {
        let token = services.secrets.text(&self.token).await?;
        let mut header = header_value(&format!("OAuth {}", token.expose()))
            .map_err(|_| Failure::new(Class::Misconfigured, "the secret of `token` cannot stand in a header"))?;
        header.set_sensitive(true);
        request.headers.insert(AUTHORIZATION, header);
        request.most = BODY;
        Ok(request)
    }

    pub async fn request(
        &self,
        cx: &Cx,
        services: &Services,
        base: Url,
        values: &Values,
        timeout: Duration,
    ) -> Result<Request, Failure> {
        let mut incident = Map::new();
        let text = self.message.text(values);
        if !text.is_empty() {
            incident.insert("body".into(), text.into());
        }
        if let Some(status) = self.status {
            incident.insert("status".into(), status.into());
        }
        if let Some(impact) = self.impact {
            incident.insert("impact_override".into(), impact.into());
        }
        if !self.components.is_empty() {
            let states = self.components.iter().map(|(id, state)| (id.clone(), Json::from(state.as_str())));
            incident.insert("components".into(), Json::Object(states.collect()));
            let ids = self.components.iter().map(|(id, _)| Json::from(id.as_str()));
            incident.insert("component_ids".into(), ids.collect());
        }
        let id = match &self.which {
            Which::New(name) => {
                incident.insert("name".into(), clean_line(&name.text(values), 255).into());
                // By this a resume finds it again.
                incident.insert("metadata".into(), json!({ "gonogo": { "token": cx.token } }));
                None
            }
            Which::Known(id) => Some(id.clone()),
            Which::Of(step) => {
                let opened = cx.priors.get(step).and_then(|prior| prior.evidence["incident"].as_str());
                let gone = || Failure::new(Class::Misconfigured, format!("step {step} opened no incident"));
                Some(opened.ok_or_else(gone)?.to_owned())
            }
        };
        let body = json!({ "incident": incident });
        let request = match id {
            None => post(self.address(&base, "")?, &body, timeout),
            Some(id) => {
                let id = utf8_percent_encode(&id, NON_ALPHANUMERIC).to_string();
                let mut request = post(self.address(&base, &format!("/{id}"))?, &body, timeout);
                request.method = Method::PATCH;
                request
            }
        };
        self.signed(services, request).await
    }

    /// Looks for the incident that an attempt opened; nothing where it only updates one.
    pub async fn look(&self, services: &Services, timeout: Duration) -> Result<Option<Request>, Failure> {
        if !matches!(self.which, Which::New(_)) {
            return Ok(None);
        }
        let base = self.url.open(services).await?;
        let request = Request::new(Method::GET, self.address(&base, "?limit=100")?, timeout);
        self.signed(services, request).await.map(Some)
    }

    /// The incident of a token, among the newest; nothing where the answer is no list.
    pub fn found(&self, reply: &Reply, token: &str) -> Option<Option<String>> {
        if !reply.status.is_success() {
            return None;
        }
        let Json::Array(all) = serde_json::from_slice(&reply.body).ok()? else { return None };
        let ours = all.iter().find(|incident| incident["metadata"]["gonogo"]["token"] == token);
        Some(ours.and_then(|incident| incident["id"].as_str()).map(str::to_owned))
    }
}

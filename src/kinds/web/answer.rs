//! An answer as it is looked at: its JSON, its cookies, the beginning of its body.

use std::cell::OnceCell;

use serde_json::Value as Json;

use crate::{base::clean, services::http::Reply};

/// How much of an unexpected body is shown.
pub(in crate::kinds) const EXCERPT: usize = 400;

/// How the body begins, with `…` where it goes on.
pub(in crate::kinds) fn excerpt(reply: &Reply) -> String {
    let goes_on = reply.cut() || reply.body.len() > EXCERPT;
    let begins = String::from_utf8_lossy(reply.body.get(..EXCERPT).unwrap_or(&reply.body));
    // What was cut within a character.
    let begins = if goes_on { begins.trim_end_matches('\u{fffd}') } else { &begins };
    let shown = clean(begins.trim_start(), EXCERPT);
    let shown = shown.trim_end();
    // A secret that is cut is known by the `…` behind it.
    if goes_on && !shown.is_empty() && !shown.ends_with('…') { format!("{shown}…") } else { shown.to_owned() }
}

/// An answer, its JSON read at most once.
pub(in crate::kinds) struct Answer<'a> {
    pub reply: &'a Reply,
    json: OnceCell<Option<Json>>,
}

impl<'a> Answer<'a> {
    pub fn new(reply: &'a Reply) -> Self {
        Self { reply, json: OnceCell::new() }
    }

    /// The body as JSON.
    pub fn json(&self) -> Option<&Json> {
        self.json.get_or_init(|| serde_json::from_slice(&self.reply.body).ok()).as_ref()
    }

    /// True where it takes a cookie away: what it sets has ended already.
    pub fn takes_away(&self, name: &str) -> bool {
        let values = self.reply.headers.get_all("set-cookie").iter().rev();
        let ended = |text: &str| {
            let cookie = cookie_store::Cookie::parse(text, &self.reply.url).ok()?;
            (cookie.name() == name).then(|| cookie.is_expired())
        };
        values.filter_map(|value| ended(value.to_str().ok()?)).next().unwrap_or(false)
    }

    /// The cookies that it sets, the last of a name first.
    pub fn cookies(&self) -> Vec<(String, String)> {
        let values = self.reply.headers.get_all("set-cookie").iter();
        let pair = |value: &hyper::header::HeaderValue| {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            let (name, value) = text.split(';').next()?.split_once('=')?;
            Some((name.trim().to_owned(), value.trim().trim_matches('"').to_owned()))
        };
        values.filter_map(pair).rev().collect()
    }
}

//! Cookies of one visitor, kept and sent back as RFC 6265 says: by domain, path, `Secure` and age.

use std::sync::{Mutex, PoisonError};

use cookie_store::CookieStore;
use hyper::{
    HeaderMap,
    header::{HeaderValue, SET_COOKIE},
};
use reqwest::Url;

/// The most that is sent back in one header.
const MOST: usize = 16 << 10;

/// A jar. Public suffixes are not known to it: whom it talks to is the author's choice.
#[derive(Default)]
pub struct Jar(Mutex<CookieStore>);

impl Jar {
    /// Keeps what an answer sets.
    pub(super) fn keep(&self, headers: &HeaderMap, url: &Url) {
        let mut store = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for value in headers.get_all(SET_COOKIE) {
            if let Ok(text) = std::str::from_utf8(value.as_bytes()) {
                // One that may not be set from there is not set, as a browser does it.
                let _not_for_us = store.parse(text, url);
            }
        }
    }

    /// What is sent to a URL, behind what the author sends; nothing where the jar has nothing.
    pub(super) fn header(&self, url: &Url, own: Option<&HeaderValue>) -> Option<HeaderValue> {
        let store = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = own.and_then(|own| own.to_str().ok()).unwrap_or_default().to_owned();
        let mut any = false;
        for (name, value) in store.get_request_values(url) {
            if text.len() + name.len() + value.len() > MOST {
                break;
            }
            if !text.is_empty() {
                text.push_str("; ");
            }
            text.push_str(name);
            text.push('=');
            text.push_str(value);
            any = true;
        }
        if !any {
            return None;
        }
        let mut header = HeaderValue::from_str(&text).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}

//! How a kind reaches its server: where to connect to, which version of HTTP, which certificates.

use std::{net::SocketAddr, sync::Arc};

use reqwest::Url;

use crate::{
    base::{Class, Failure, clean_line},
    kinds::filled,
    plan::{Param, Params, Shape, TextOrSecret},
    services::{
        Services,
        http::{Dial, Family, Identity, Speaks},
    },
};

/// The parameters.
pub(in crate::kinds) const PARAMS: &[Param] = &[
    Param {
        name: "connect_to",
        shape: Shape::Text,
        required: false,
        help: "address to connect to instead of where the name points: \"203.0.113.9\" or with a port",
    },
    Param {
        name: "ip",
        shape: Shape::Text,
        required: false,
        help: "only \"v4\" or only \"v6\" addresses; default \"any\"",
    },
    Param {
        name: "http",
        shape: Shape::Text,
        required: false,
        help: "\"1.1\" or \"2\" and nothing else; default \"any\": what the server takes",
    },
    Param {
        name: "ca",
        shape: Shape::Text,
        required: false,
        help: "file of certificates (PEM) that are trusted instead of the system's",
    },
    Param {
        name: "client_cert",
        shape: Shape::TextOrSecret,
        required: false,
        help: "client certificate: a PEM file, or a secret that holds the PEM text",
    },
    Param {
        name: "client_key",
        shape: Shape::TextOrSecret,
        required: false,
        help: "its private key, likewise; default: in `client_cert` too",
    },
];

/// As the runbook says it.
pub(in crate::kinds) struct Reach {
    pub connect_to: Option<SocketAddr>,
    /// Whose address that is, where it is known.
    host: Option<String>,
    family: Family,
    speaks: Speaks,
    ca: Option<String>,
    certificate: Option<TextOrSecret>,
    key: Option<TextOrSecret>,
}

impl Reach {
    /// `url`: the server, where it is known.
    pub fn read(params: &mut Params<'_>, services: &Services, url: Option<&Url>) -> Self {
        let port = url.map_or(443, |url| services.http.port(url));
        let reach = Self {
            connect_to: params.addresses("connect_to", port).first().copied(),
            host: url.and_then(Url::host_str).map(str::to_owned),
            family: params.word("ip", &[("any", Family::Any), ("v4", Family::V4), ("v6", Family::V6)]),
            speaks: params.word("http", &[("any", Speaks::Any), ("1.1", Speaks::One), ("2", Speaks::Two)]),
            ca: filled(params, "ca"),
            certificate: params.opt_secret("client_cert"),
            key: params.opt_secret("client_key"),
        };
        if reach.connect_to.is_some() && url.is_some_and(|url| url.scheme() == "https" && url.domain().is_none()) {
            let span = params.place_of("connect_to");
            params.mistake(span, "`connect_to` needs a name in an https url", "a certificate is for a name", None);
        }
        let other = match reach.family {
            Family::Any => false,
            Family::V4 => reach.connect_to.is_some_and(|address| address.is_ipv6()),
            Family::V6 => reach.connect_to.is_some_and(|address| address.is_ipv4()),
        };
        if other {
            let span = params.place_of("connect_to");
            params.mistake(span, "`connect_to` is not of the family that `ip` asks for", "the other family", None);
        }
        if reach.key.is_some() && reach.certificate.is_none() {
            let span = params.place_of("client_key");
            params.mistake(span, "`client_key` needs `client_cert`", "a key alone proves nothing", None);
        }
        reach
    }

    /// Files read and secrets opened.
    pub async fn dial(&self, services: &Services, keep: bool) -> Result<Dial, Failure> {
        let ca = match &self.ca {
            Some(path) => Some(text_of("ca", path).await?),
            None => None,
        };
        let identity = match &self.certificate {
            Some(certificate) => {
                let certificate = pem("client_cert", certificate, services).await?;
                let key = match &self.key {
                    Some(key) => pem("client_key", key, services).await?,
                    None => certificate.clone(),
                };
                let who = Identity::read(&certificate, &key).map_err(|e| Failure::new(Class::Misconfigured, e))?;
                Some(Arc::new(who))
            }
            None => None,
        };
        let mut dial = Dial::to(self.connect_to);
        dial.connect_for.clone_from(&self.host);
        (dial.family, dial.speaks, dial.ca, dial.identity, dial.keep) = (self.family, self.speaks, ca, identity, keep);
        Ok(dial)
    }

    /// ` at 203.0.113.9:443, IPv6 only`.
    pub fn words(&self) -> String {
        let mut words = self.connect_to.map(|address| format!(" at {address}")).unwrap_or_default();
        words += match self.family {
            Family::Any => "",
            Family::V4 => " over IPv4",
            Family::V6 => " over IPv6",
        };
        words += match self.speaks {
            Speaks::Any => "",
            Speaks::One => " by HTTP/1.1",
            Speaks::Two => " by HTTP/2",
        };
        words
    }
}

/// A PEM text: of a secret, of a file, or written out.
async fn pem(key: &str, value: &TextOrSecret, services: &Services) -> Result<zeroize::Zeroizing<String>, Failure> {
    Ok(zeroize::Zeroizing::new(match value {
        TextOrSecret::Secret(_) => services.secrets.text(value).await?.expose().to_owned(),
        TextOrSecret::Text(text) if text.contains("-----BEGIN") => text.clone(),
        TextOrSecret::Text(path) => text_of(key, path).await?,
    }))
}

/// A small file that the runbook names.
async fn text_of(key: &str, path: &str) -> Result<String, Failure> {
    let bytes = super::body::file(key, path, 1 << 20).await?;
    String::from_utf8(bytes)
        .map_err(|_| Failure::new(Class::Misconfigured, format!("`{key}`: {} is no text", clean_line(path, 200))))
}

//! `tls.certificate`: what a TLS server shows at an address, before DNS points there.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde_json::{Value as Json, json};

use super::{Bind, Kind, filled, limit};
use crate::{
    base::{Class, Failure, clean_line},
    plan::{Check, Cx, Doubt, Param, Params, Seen, Shape},
    runbook::value,
    services::{
        Services,
        tls::{Ask, Certificate, Family, Sight, Target},
    },
};

/// How long a look may take unless the runbook says otherwise.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Days that a certificate must last unless the runbook says otherwise: past the night.
const MIN_DAYS: u64 = 1;
/// More days than any certificate lasts.
const MOST_DAYS: u64 = 10_000;

/// The kind.
pub static KIND: Kind = Kind {
    name: "tls.certificate",
    summary: "chain, names and days left of the certificate at an address, before DNS moves",
    docs: "\
Makes a TLS handshake with `host` as SNI at every address of `connect_to` (default: at every A and AAAA address of `host` itself) and sends nothing
in it. Green when at every address the chain leads to a trusted root, `host` and all `names` are covered, the certificate lasts
`min_days`, and, where given, its issuer, protocol version and ALPN protocol are the wanted ones. Every address that is not right is named, and
everything that is wrong with it is said at once: expired, not valid yet, another name (with the names it has), self-signed, an intermediate
that is missing from the chain, an unknown authority, a weak key, a broken signature, a key that does not belong to the certificate, an alert,
plain HTTP on that port, nothing listening, a deadline and which one.

Trust and names are judged by rustls and webpki over the platform's own roots (`ca`: over the roots of that file alone), as RFC 9525 has it: a
wildcard stands for exactly one label, the common name does not count. A wildcard among `names` has to be in the certificate as it is.
An address as `host` is matched against the certificate's addresses; no SNI is sent then.

Deadlines: 5 s to connect and 5 s for the handshake of each address, `timeout` for the whole look.

What hurts people: the certificate was issued in another region than the load balancer's; the listener shows its default certificate because the name was
never added; the full chain is missing, which browsers hide and API clients do not; HSTS: hosts that once sent
`Strict-Transport-Security` cannot be reached by browsers over a bad certificate, not even by clicking on (compare the header with
`http.check`: `header = { strict-transport-security = \"*\" }`).

Limits: revocation is not looked up. TLS 1.0 and 1.1 are not spoken: a server that has nothing else fails. A client certificate is not sent; a TLS 1.3
server that asks for one does so after the handshake, unseen.

Evidence: `certificates` (`subject`, `issuer`, `serial`, `not_before`, `not_after`, `names`, `sha256`, `key`), `addresses` (each with `sha256`, `chain`, `protocol`, `cipher`,
`alpn`), `days_left`. The value is the days left, the least of all addresses.

Relies on RFC 5280, 6066 (SNI), 7301 (ALPN), 8446, 9525.",
    params: &[
        Param { name: "host", shape: Shape::Text, required: true, help: "name to send (SNI) and to match; or an address to match" },
        Param {
            name: "connect_to",
            shape: Shape::Texts,
            required: false,
            help: "where to connect: addresses or names, with or without a port; default: `host`",
        },
        Param { name: "port", shape: Shape::Count, required: false, help: "port where none is named; default 443" },
        Param {
            name: "family",
            shape: Shape::Text,
            required: false,
            help: "which addresses of a name: \"all\" (default), \"ipv4\" or \"ipv6\"",
        },
        Param { name: "names", shape: Shape::Texts, required: false, help: "further names that must be covered" },
        Param {
            name: "min_days",
            shape: Shape::Count,
            required: false,
            help: "days that it must still be valid; default 1",
        },
        Param {
            name: "issuer",
            shape: Shape::Text,
            required: false,
            help: "text that its issuer's name must contain, such as \"Amazon\"",
        },
        Param {
            name: "ca",
            shape: Shape::Text,
            required: false,
            help: "file of certificates (PEM) to trust instead of the platform's",
        },
        Param { name: "alpn", shape: Shape::Text, required: false, help: "protocol that must be chosen, such as \"h2\"" },
        Param { name: "min_tls", shape: Shape::Text, required: false, help: "lowest version: \"1.2\" (default) or \"1.3\"" },
        Param { name: "timeout", shape: Shape::Duration, required: false, help: "limit of one look; default \"15s\"" },
    ],
    doubt: Doubt::Read,
    needs: &["a way to the TLS server from here"],
    example: include_str!("../../runbooks/kinds/tls.certificate.toml"),
    bind: Bind::Check(|params, services| Arc::new(TlsCertificate::read(params, services))),
};

struct TlsCertificate {
    services: Arc<Services>,
    ask: Ask,
    min_days: i64,
    issuer: Option<String>,
    min_tls: &'static str,
}

/// A name as a server can be called by, or an address.
fn callable(name: &str) -> Result<(), String> {
    if name.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    if !name.is_ascii() {
        return Err("write the ASCII form of an international name (xn--…)".into());
    }
    let label = |label: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (1..=63).contains(&label.len()) && label.chars().all(fits)
    };
    if name.len() <= 253 && name.split('.').all(label) {
        return Ok(());
    }
    Err(match name.split_once("://") {
        Some((_, rest)) => format!("write the name alone: \"{}\"", rest.split('/').next().unwrap_or_default()),
        None => "write a name such as \"shop.acme.example\", without a port or a path".into(),
    })
}

/// `name`, `name:port`, `address`, `address:port`, `[address]:port`.
fn target(text: &str, port: u16) -> Result<Target, String> {
    if let Ok(address) = text.parse() {
        return Ok(Target::Address(address));
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(Target::Address(std::net::SocketAddr::new(ip, port)));
    }
    let (name, port) = match text.split_once(':') {
        Some((name, own)) => match own.parse::<u16>() {
            Ok(own) if own > 0 => (name, own),
            _ => return Err("the port must be 1 to 65535".into()),
        },
        None => (text, port),
    };
    callable(name).map(|()| Target::Name(name.to_owned(), port))
}

/// The texts of a key with their places.
fn placed(params: &mut Params<'_>, key: &'static str) -> Vec<(value::Span, String)> {
    let texts = params.texts(key);
    let Some(raw) = params.raw(key) else { return Vec::new() };
    match &raw.kind {
        value::Kind::List(list) => list
            .iter()
            .filter_map(|item| match &item.kind {
                value::Kind::Text(text) => Some((item.span.clone(), text.clone())),
                _ => None,
            })
            .collect(),
        _ => texts.into_iter().map(|text| (raw.span.clone(), text)).collect(),
    }
}

impl TlsCertificate {
    fn read(params: &mut Params<'_>, services: &Arc<Services>) -> Self {
        let host = params.text("host");
        if params.has("host") {
            let span = params.place_of("host");
            wrong_name(params, span, "host", &host);
        }
        let port = match params.opt_count("port").map(u16::try_from) {
            None => services.tls.port(),
            Some(Ok(port)) if port > 0 => port,
            Some(_) => {
                let span = params.place_of("port");
                params.mistake(span, "`port` must be 1 to 65535", "no port", None);
                443
            }
        };
        let mut at = Vec::new();
        for (span, text) in placed(params, "connect_to") {
            match target(text.trim(), port) {
                Ok(target) => at.push(target),
                Err(why) => {
                    let shown = clean_line(&text, 60);
                    params.mistake(
                        span,
                        format!("`connect_to` cannot be `{shown}`"),
                        "no address and no name",
                        Some(why),
                    );
                }
            }
        }
        if params.has("connect_to") && at.is_empty() && params.ok() {
            let span = params.place_of("connect_to");
            params.mistake(span, "`connect_to` names nothing", "an address or a name belongs here", None);
        }
        if at.is_empty() {
            at.push(target(&host, port).unwrap_or_else(|_| Target::Name(host.clone(), port)));
        }
        let mut names = Vec::new();
        for (span, name) in placed(params, "names") {
            wrong_name(params, span, "names", name.strip_prefix("*.").unwrap_or(&name));
            names.push(name);
        }
        let min_days = params.opt_count("min_days").unwrap_or(MIN_DAYS);
        if min_days > MOST_DAYS {
            let span = params.place_of("min_days");
            params.mistake(
                span,
                format!("`min_days` must be at most {MOST_DAYS}"),
                "longer than any certificate",
                None,
            );
        }
        let alpn = filled(params, "alpn");
        if alpn.as_ref().is_some_and(|name| name.len() > 255) {
            let span = params.place_of("alpn");
            params.mistake(span, "`alpn` must be at most 255 bytes", "longer than a protocol's name can be", None);
        }
        Self {
            services: services.clone(),
            ask: Ask {
                host,
                names,
                at,
                family: params.word("family", &[("all", Family::All), ("ipv4", Family::V4), ("ipv6", Family::V6)]),
                alpn: alpn.into_iter().collect(),
                ca: filled(params, "ca"),
                timeout: limit(params, TIMEOUT),
            },
            min_days: i64::try_from(min_days.min(MOST_DAYS)).unwrap_or(i64::MAX),
            issuer: filled(params, "issuer"),
            min_tls: params.word("min_tls", &[("1.2", "TLS 1.2"), ("1.3", "TLS 1.3")]),
        }
    }

    /// What the runbook asked for beyond what every client does.
    fn unwanted(&self, sight: &Sight) -> Vec<String> {
        let mut wrong = Vec::new();
        if let (Some(certificate), Some(days)) = (&sight.certificate, sight.days_left) {
            if (0..self.min_days).contains(&days) {
                let until = certificate.not_after.format("%Y-%m-%d %H:%M UTC");
                wrong.push(format!("it ends on {until}, in {days} days, and {} are asked for", self.min_days));
            }
            let issuer = |wanted: &&String| !certificate.issuer.to_lowercase().contains(&wanted.to_lowercase());
            if let Some(wanted) = self.issuer.as_ref().filter(issuer) {
                wrong.push(format!("it was issued by {}, not by {wanted}", certificate.issuer));
            }
        }
        if let Some(protocol) = sight.protocol {
            if protocol < self.min_tls {
                wrong.push(format!("the server speaks {protocol} only, {} is asked for", self.min_tls));
            }
            for wanted in self.ask.alpn.iter().filter(|wanted| sight.alpn.as_ref() != Some(wanted)) {
                let chosen = sight.alpn.as_ref().map_or("nothing".into(), |chosen| clean_line(chosen, 40));
                wrong.push(format!("the server chose {chosen} instead of {wanted} (ALPN)"));
            }
        }
        wrong
    }

    async fn look(&self) -> Result<Seen, Failure> {
        let sights = self.services.tls.look(&self.ask).await?;
        let mut bad = Vec::new();
        let mut hint = None;
        for sight in &sights {
            let mut texts = sight.faults.iter().map(|fault| fault.text.clone()).collect::<Vec<_>>();
            texts.extend(self.unwanted(sight));
            hint = hint.or_else(|| sight.faults.iter().find_map(|fault| fault.hint.clone()));
            if sight.certificate.is_none() && texts.is_empty() {
                texts.push("it showed no certificate".into());
            }
            if !texts.is_empty() {
                bad.push(format!("{} at {}: {}", self.ask.host, sight.address, texts.join("; ")));
            }
        }
        if let Some(first) = bad.first() {
            let reached = sights.iter().any(|sight| sight.chain > 0);
            let nothing = if reached { "" } else { "no data: " };
            let message = match bad.len() {
                1 if sights.len() == 1 => format!("{nothing}{first}"),
                many => format!("{nothing}{many} of {} addresses are not right; {first}", sights.len()),
            };
            let failure = bad.iter().skip(1).fold(Failure::new(Class::NotYet, message), Failure::because);
            return Err(match hint {
                Some(hint) => failure.hint(hint),
                None => failure,
            });
        }
        Ok(self.seen(&sights, sights.iter().filter_map(|sight| sight.days_left).min().unwrap_or_default()))
    }

    fn seen(&self, sights: &[Sight], days: i64) -> Seen {
        let mut certificates: Vec<&Certificate> = Vec::new();
        for one in sights.iter().filter_map(|sight| sight.certificate.as_ref()) {
            if !certificates.iter().any(|known| known.sha256 == one.sha256) {
                certificates.push(one);
            }
        }
        let place = match sights {
            [one] => one.address.to_string(),
            many => format!("{} addresses", many.len()),
        };
        let first = certificates.iter().min_by_key(|one| one.not_after);
        let until = first.map(|one| one.not_after.format("%Y-%m-%d").to_string()).unwrap_or_default();
        let issuer = first.map(|one| one.issuer_short.clone()).unwrap_or_default();
        let versions = sights.iter().filter_map(|sight| sight.protocol).collect::<BTreeSet<_>>();
        let versions = versions.into_iter().collect::<Vec<_>>().join(" and ");
        let several =
            if certificates.len() > 1 { format!(", {} different ones", certificates.len()) } else { String::new() };
        let line = format!(
            "certificate of {} at {place}: until {until} ({days} days), by {issuer}, {versions}{several}",
            self.ask.host
        );
        let evidence = json!({
            "host": self.ask.host,
            "days_left": days,
            "certificates": certificates.iter().map(|one| fields(one)).collect::<Vec<_>>(),
            "addresses": sights.iter().map(place_of).collect::<Vec<_>>(),
        });
        #[expect(clippy::cast_precision_loss, reason = "days")]
        Seen::new(line).value(days as f64).with(evidence)
    }
}

fn wrong_name(params: &mut Params<'_>, span: value::Span, key: &str, name: &str) {
    if let Err(why) = callable(name) {
        let message = format!("`{key}` cannot be `{}`", clean_line(name, 60));
        params.mistake(span, message, "no name of a server", Some(why));
    }
}

fn fields(one: &Certificate) -> Json {
    json!({
        "subject": one.subject,
        "issuer": one.issuer,
        "serial": one.serial,
        "not_before": one.not_before,
        "not_after": one.not_after,
        "names": one.names,
        "sha256": one.sha256,
        "key": one.key,
    })
}

fn place_of(sight: &Sight) -> Json {
    json!({
        "address": sight.address,
        "sha256": sight.certificate.as_ref().map(|one| &one.sha256),
        "chain": sight.chain,
        "protocol": sight.protocol,
        "cipher": sight.cipher,
        "alpn": sight.alpn,
    })
}

impl Check for TlsCertificate {
    fn looks(&self) -> String {
        let at = self.ask.at.iter().map(|target| match target {
            Target::Address(address) => address.to_string(),
            Target::Name(name, port) => format!("{name}:{port}"),
        });
        let at = at.collect::<Vec<_>>().join(", ");
        let names = match self.ask.names.as_slice() {
            [] => String::new(),
            names => format!(" and {}", names.join(", ")),
        };
        let line = format!(
            "TLS handshake at {at} expects a certificate for {}{names}, {} days or more",
            self.ask.host, self.min_days
        );
        clean_line(&line, 300)
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(super::looking(cx, self.look()))
    }
}

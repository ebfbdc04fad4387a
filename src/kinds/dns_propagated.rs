//! `dns.propagated`: named resolvers see the new value.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, join_all};
use serde_json::json;

use super::{
    Bind, Kind,
    dns::{MAX_TTL, NAME, Question, TYPE, VALUE, VALUES},
};
use crate::{
    base::{Class, Failure},
    plan::{Check, Cx, Doubt, Param, Params, Seen, Shape},
    runbook::value,
    services::{
        Services,
        dns::{Answer, ResponseCode, Transport},
    },
};

/// Between two samples of one look: long enough to reach another frontend of an anycast resolver,
/// short enough to be repeated every two seconds.
const BETWEEN: Duration = Duration::from_millis(250);
/// The default number of samples.
const SAMPLES: u64 = 2;

/// The kind.
pub static KIND: Kind = Kind {
    name: "dns.propagated",
    summary: "named resolvers see the new value: quorum, remaining TTL, consecutive samples",
    docs: "\
Asks every resolver for the name, with recursion, and passes when enough of them (`quorum`) answer with the expected value
in every one of `samples` consecutive samples, taken 250 ms apart within one look. A resolver that flaps between old and
new, or answers SERVFAIL once, has not seen the value: it is named, with what it still says and how long it may keep that.

Where the name is a CNAME, `value` may be its target or the addresses behind it.

What hurts people: resolvers that raise or clamp TTLs (`max_ttl` shows them), that serve stale answers (RFC 8767), and the
ones inside a VPC, which nobody asked. Browsers, JVMs and long-lived connections cache beyond any resolver.

Resolvers: `resolvers`, else the environment's `dns.resolvers`, else those of /etc/resolv.conf. Relies on RFC 1034, 1035,
2181. Limits: a passing look says what these resolvers say, not what every resolver in the world says.",
    params: &[
        NAME,
        TYPE,
        VALUE,
        VALUES,
        MAX_TTL,
        Param {
            name: "resolvers",
            shape: Shape::Texts,
            required: false,
            help: "addresses of resolvers, with or without a port; default: those of the environment",
        },
        Param {
            name: "quorum",
            shape: Shape::Any,
            required: false,
            help: "how many resolvers must agree: a number or a share such as \"75%\"; default \"100%\"",
        },
        Param {
            name: "samples",
            shape: Shape::Count,
            required: false,
            help: "how many consecutive answers of a resolver must agree; default 2",
        },
    ],
    doubt: Doubt::Read,
    needs: &["UDP and TCP port 53 to the resolvers"],
    example: include_str!("../../runbooks/kinds/dns.propagated.toml"),
    bind: Bind::Check(|params, services| {
        let question = Question::read(params);
        if question.values.is_empty() && params.ok() {
            let help = Some("without one, an old value would pass too".into());
            params.mistake(params.place(), "`dns.propagated` needs `value` or `values`", "what is expected is missing", help);
        }
        let resolvers = params.addresses("resolvers", 53);
        let quorum = quorum(params);
        let samples = params.opt_count("samples").unwrap_or(SAMPLES);
        if !(1..=100).contains(&samples) {
            let span = params.place_of("samples");
            params.mistake(span, "`samples` must be 1 to 100", "out of range", None);
        }
        Arc::new(Propagated { services: services.clone(), question, resolvers, quorum, samples })
    }),
};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Quorum {
    Count(u64),
    Percent(f64),
}

impl Quorum {
    fn of(self, resolvers: usize) -> usize {
        match self {
            Self::Count(n) => usize::try_from(n).unwrap_or(usize::MAX),
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a handful"
            )]
            Self::Percent(share) => ((resolvers as f64) * share / 100.0).ceil() as usize,
        }
        .max(1)
    }
}

fn quorum(params: &mut Params<'_>) -> Quorum {
    let Some(raw) = params.raw("quorum") else { return Quorum::Percent(100.0) };
    let found = match &raw.kind {
        value::Kind::Int(n) => u64::try_from(*n).ok().filter(|n| *n > 0).map(Quorum::Count),
        value::Kind::Text(text) => match text.trim().strip_suffix('%') {
            Some(share) => {
                share.trim().parse().ok().filter(|share| *share > 0.0 && *share <= 100.0).map(Quorum::Percent)
            }
            None => text.trim().parse().ok().filter(|n| *n > 0).map(Quorum::Count),
        },
        _ => None,
    };
    found.unwrap_or_else(|| {
        let span = raw.span.clone();
        params.mistake(span, "`quorum` must be a number of resolvers or a share such as \"75%\"", "neither", None);
        Quorum::Percent(100.0)
    })
}

struct Propagated {
    services: Arc<Services>,
    question: Question,
    resolvers: Vec<SocketAddr>,
    quorum: Quorum,
    samples: u64,
}

impl Propagated {
    async fn look(&self) -> Result<Seen, Failure> {
        let question = &self.question;
        let resolvers = if self.resolvers.is_empty() { self.services.dns.resolvers()? } else { self.resolvers.clone() };
        let need = self.quorum.of(resolvers.len());
        if need > resolvers.len() {
            return Err(Failure::new(Class::Misconfigured, format!("quorum {need} of {} resolvers", resolvers.len())));
        }
        let said = join_all(resolvers.iter().map(|&resolver| self.one(resolver))).await;
        let stuck = resolvers.iter().zip(&said).filter_map(|(r, s)| s.as_ref().err().map(|why| format!("{r} {why}")));
        let stuck = stuck.collect::<Vec<_>>();
        let agree = resolvers.len() - stuck.len();
        let wanted = question.values.join(", ");
        let counts = format!("{agree} of {} resolvers see {} as {wanted}", resolvers.len(), question.shown);
        if agree < need {
            let more = if stuck.len() > 1 { format!(" and {} more", stuck.len() - 1) } else { String::new() };
            let first = stuck.first().cloned().unwrap_or_default();
            let failure = Failure::new(Class::NotYet, format!("{counts}; {first}{more}"));
            return Err(stuck.iter().skip(1).fold(failure, Failure::because));
        }
        let ttls = said.iter().filter_map(|s| s.as_ref().ok().copied().flatten()).collect::<Vec<_>>();
        let tail = match stuck.as_slice() {
            [] => String::new(),
            stuck => format!("; not yet: {}", stuck.join("; ")),
        };
        let line = format!("{counts} in {} samples each{tail}", self.samples);
        let evidence = json!({ "agree": agree, "resolvers": resolvers, "stuck": stuck, "ttls": ttls });
        #[expect(clippy::cast_precision_loss, reason = "a handful of resolvers")]
        Ok(Seen::new(line).value(agree as f64).with(evidence))
    }

    /// All samples of one resolver; the TTL of the last, or what is wrong with the first that disagrees.
    async fn one(&self, resolver: SocketAddr) -> Result<Option<u32>, String> {
        let question = &self.question;
        let mut ttl = None;
        for sample in 0..self.samples {
            if sample > 0 {
                tokio::time::sleep(BETWEEN).await;
            }
            let asked = self.services.dns.ask(resolver, &question.name, question.kind, Transport::Udp, true).await;
            let answer = asked.map_err(|failure| format!("gave no answer: {failure}"))?;
            if let Some(why) = self.wrong(&answer) {
                let flaps = if sample > 0 { format!(" in sample {}", sample + 1) } else { String::new() };
                return Err(format!("{why}{flaps}"));
            }
            ttl = answer.ttl(&question.name, question.kind);
        }
        Ok(ttl)
    }

    fn wrong(&self, answer: &Answer) -> Option<String> {
        let question = &self.question;
        let words = answer.words(&question.name, question.kind);
        if answer.rcode != ResponseCode::NoError {
            let kept = answer.negative_ttl.map(|ttl| format!(" for up to {ttl} s")).unwrap_or_default();
            return Some(format!("says {words}{kept}"));
        }
        if !question.shows(answer) {
            return Some(format!("still says {words}"));
        }
        let max = question.max_ttl.filter(|_| !question.ttl_passes(answer))?;
        Some(format!("says {words}, more than {max} s"))
    }
}

impl Check for Propagated {
    fn looks(&self) -> String {
        let question = &self.question;
        let who = match self.resolvers.as_slice() {
            [] => "the environment's resolvers".to_owned(),
            list => list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        let quorum = match self.quorum {
            Quorum::Count(n) => format!("{n} of them"),
            Quorum::Percent(share) => format!("{share} %"),
        };
        let values = question.values.join(", ");
        format!("ask {who} for {} {} times, expect {values} from {quorum}", question.words(), self.samples)
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(super::looking(cx, self.look()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quorums_round_up() {
        assert_eq!(Quorum::Percent(100.0).of(3), 3);
        assert_eq!(Quorum::Percent(66.0).of(3), 2);
        assert_eq!(Quorum::Percent(1.0).of(3), 1);
        assert_eq!(Quorum::Count(2).of(3), 2);
    }
}

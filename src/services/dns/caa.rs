//! Which certificate authorities may issue for a name (CAA, RFC 8659): the record set nearest above the name,
//! and what it allows.

use hickory_proto::{
    op::ResponseCode,
    rr::{Name, RData, RecordType},
};

use super::{Answer, Dns, shown};
use crate::base::{Class, Failure, clean_line};

/// The tags that we understand (RFC 8659 section 4, 8657, 9495); an unknown critical one forbids everything.
const KNOWN: [&str; 7] = ["issue", "issuewild", "iodef", "contactemail", "contactphone", "issuemail", "issuevmc"];

/// The CAA set that counts for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caa {
    /// Where it stands: the name or one above it; `None`: there is none, everybody may issue.
    pub at: Option<Name>,
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    critical: bool,
    tag: String,
    value: String,
}

impl Dns {
    /// The CAA set that counts for a name: its own, else that of the nearest name above that has one (RFC 8659
    /// section 3), each asked at its own authoritative servers and through CNAMEs. A wildcard's is that of the name
    /// behind the star.
    ///
    /// # Errors
    /// As [`Dns::chain`]; `NotYet`: no server of a name answers. An authority must not issue then either.
    pub async fn caa(&self, name: &Name) -> Result<Caa, Failure> {
        let mut at = if name.is_wildcard() { name.base_name() } else { name.clone() };
        while !at.is_root() {
            let (known, rules) = self.rules(&at, at == *name).await?;
            if !rules.is_empty() {
                return Ok(Caa { at: Some(at), rules });
            }
            // Above what the environment's own servers know begins somebody else's zone, whom nobody may ask.
            if !known && self.may_look_further().is_err() {
                break;
            }
            at = at.base_name();
        }
        Ok(Caa { at: None, rules: Vec::new() })
    }

    /// The rules at one name, and whether anybody is authoritative for it.
    async fn rules(&self, name: &Name, first: bool) -> Result<(bool, Vec<Rule>), Failure> {
        let chain = self.chain(name, RecordType::CAA).await?;
        if let Some((next, why)) = &chain.open
            && self.may_look_further().is_ok()
        {
            return Err(Failure { message: format!("{}: {}", shown(next), why.message), ..why.clone() });
        }
        let Some(last) = chain.links.last() else { return Ok((false, Vec::new())) };
        let mut trouble = None;
        for (server, answer) in &last.servers {
            match answer {
                Ok(answer) if matches!(answer.rcode, ResponseCode::NoError | ResponseCode::NXDomain) && answer.aa => {
                    return Ok((true, rules(answer, &last.name)));
                }
                Ok(answer) => trouble = Some(format!("{server} answers {}", answer.words(&last.name, RecordType::CAA))),
                Err(failure) => trouble = Some(failure.message.clone()),
            }
        }
        if !first && !self.env.dns.authoritative.is_empty() {
            // The environment's servers do not know the names above their zone.
            return match self.may_look_further() {
                Ok(()) => {
                    let answer = self.resolve(name, RecordType::CAA).await?;
                    let end = answer.end_of_chain(name);
                    Ok((true, rules(&answer, &end)))
                }
                Err(_) => Ok((false, Vec::new())),
            };
        }
        let failure = Failure::new(Class::NotYet, format!("no server tells the CAA records of {}", shown(name)));
        Err(trouble.into_iter().fold(failure, Failure::because))
    }
}

fn rules(answer: &Answer, name: &Name) -> Vec<Rule> {
    let records = answer.at(name, RecordType::CAA).filter_map(|r| match &r.raw.data {
        RData::CAA(caa) => Some(caa),
        _ => None,
    });
    records
        .map(|caa| Rule {
            critical: caa.issuer_critical,
            tag: caa.tag.to_ascii_lowercase(),
            value: String::from_utf8_lossy(&caa.value).into_owned(),
        })
        .collect()
}

impl Caa {
    /// Whether an authority may issue for the name, or for a wildcard of it (RFC 8659 sections 4.2 and 4.3).
    ///
    /// # Errors
    /// Why not, as a sentence without its end.
    pub fn allows(&self, issuer: &str, wildcard: bool) -> Result<(), String> {
        if let Some(rule) = self.rules.iter().find(|rule| rule.critical && !KNOWN.contains(&rule.tag.as_str())) {
            return Err(format!("has a critical property `{}` that no authority knows", clean_line(&rule.tag, 40)));
        }
        let of = |tag: &str| self.rules.iter().filter(|rule| rule.tag == tag).collect::<Vec<_>>();
        let (issue, wild) = (of("issue"), of("issuewild"));
        let counts = if wildcard && !wild.is_empty() { wild } else { issue };
        if counts.is_empty() || counts.iter().any(|rule| rule.issuer().eq_ignore_ascii_case(issuer)) {
            return Ok(());
        }
        let named = counts.iter().map(|rule| match rule.issuer() {
            "" => "nobody".to_owned(),
            issuer => clean_line(issuer, 80),
        });
        Err(format!("allows {}", named.collect::<Vec<_>>().join(", ")))
    }

    /// The set in zone-file form, for people.
    #[must_use]
    pub fn words(&self) -> String {
        let rules = self.rules.iter().map(|rule| {
            let critical = if rule.critical { "128" } else { "0" };
            format!("{critical} {} \"{}\"", clean_line(&rule.tag, 40), clean_line(&rule.value, 120))
        });
        rules.collect::<Vec<_>>().join(", ")
    }
}

impl Rule {
    /// The authority's domain, without parameters; empty: nobody.
    fn issuer(&self) -> &str {
        self.value.split(';').next().unwrap_or_default().trim().trim_end_matches('.')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caa(rules: &[(&str, &str)]) -> Caa {
        let rules = rules.iter().map(|(tag, value)| Rule {
            critical: tag.starts_with('!'),
            tag: tag.trim_start_matches('!').into(),
            value: (*value).into(),
        });
        Caa { at: None, rules: rules.collect() }
    }

    #[test]
    fn who_may_issue() {
        let amazon = |rules: &[(&str, &str)], wildcard| caa(rules).allows("amazon.com", wildcard);
        assert_eq!(amazon(&[], false), Ok(()));
        assert_eq!(amazon(&[("issue", "Amazon.com; validationmethods=dns-01")], true), Ok(()));
        assert_eq!(amazon(&[("issue", "letsencrypt.org"), ("issue", " amazon.com ")], false), Ok(()));
        assert_eq!(amazon(&[("issue", "letsencrypt.org")], false), Err("allows letsencrypt.org".into()));
        assert_eq!(amazon(&[("issue", ";")], false), Err("allows nobody".into()));
        assert_eq!(amazon(&[("iodef", "mailto:a@acme.example")], false), Ok(()), "only a place to complain");
        let wild = &[("issue", "amazon.com"), ("issuewild", "letsencrypt.org")];
        assert_eq!(amazon(wild, false), Ok(()));
        assert_eq!(amazon(wild, true), Err("allows letsencrypt.org".into()));
        assert_eq!(amazon(&[("issuewild", ";")], false), Ok(()), "binds wildcards only");
        assert!(amazon(&[("issue", "amazon.com"), ("!tbs", "x")], false).unwrap_err().contains("`tbs`"));
        assert_eq!(amazon(&[("issue", "amazon.com"), ("tbs", "x")], false), Ok(()));
        assert_eq!(
            amazon(&[("issue", "amazon.com.evil.example")], false).unwrap_err(),
            "allows amazon.com.evil.example"
        );
    }
}

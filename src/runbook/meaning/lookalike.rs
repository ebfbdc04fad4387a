//! Things anywhere in the file, comments included, that look like a secret's value. Found in the
//! raw text, so that they are found (and hidden) even where the TOML is broken.

use aho_corasick::AhoCorasick;

use crate::runbook::{Code, Diagnostic, Diagnostics, Source};

/// How the rest of a token is recognised after its prefix.
struct Form {
    prefix: &'static str,
    what: &'static str,
    /// So many characters of the token's alphabet follow at least.
    follow: usize,
    alphabet: fn(u8) -> bool,
}

fn word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b == b'-'
}

fn upper(b: u8) -> bool {
    b.is_ascii_uppercase() || b.is_ascii_digit()
}

const FORMS: &[Form] = &[
    Form { prefix: "AKIA", what: "an AWS access key", follow: 16, alphabet: upper },
    Form { prefix: "ASIA", what: "an AWS access key", follow: 16, alphabet: upper },
    Form { prefix: "HRKU-", what: "a Heroku API key", follow: 20, alphabet: word },
    Form { prefix: "ghp_", what: "a GitHub token", follow: 30, alphabet: word },
    Form { prefix: "gho_", what: "a GitHub token", follow: 30, alphabet: word },
    Form { prefix: "ghs_", what: "a GitHub token", follow: 30, alphabet: word },
    Form { prefix: "ghu_", what: "a GitHub token", follow: 30, alphabet: word },
    Form { prefix: "github_pat_", what: "a GitHub token", follow: 30, alphabet: word },
    Form { prefix: "glpat-", what: "a GitLab token", follow: 16, alphabet: word },
    Form { prefix: "xoxb-", what: "a Slack token", follow: 16, alphabet: word },
    Form { prefix: "xoxp-", what: "a Slack token", follow: 16, alphabet: word },
    Form { prefix: "sk_live_", what: "a Stripe key", follow: 16, alphabet: word },
    Form {
        prefix: "hooks.slack.com/services/",
        what: "a Slack webhook",
        follow: 8,
        alphabet: |b| word(b) || b == b'/',
    },
];
const PEM: &str = "-----BEGIN ";
/// An RSA key of 8192 bits has 6.4 kB.
const LONGEST_PEM: usize = 8 * 1024;
const URL: &str = "://";

/// Reports and hides each.
pub(in crate::runbook) fn find(source: &Source, d: &mut Diagnostics) {
    let text = source.text();
    let prefixes = FORMS.iter().map(|form| form.prefix).chain([PEM, URL]);
    let Ok(search) = AhoCorasick::new(prefixes) else { return };
    for found in search.find_iter(text) {
        let (start, end) = (found.start(), found.end());
        let secret = match FORMS.get(found.pattern().as_usize()) {
            Some(form) => token(text, start, end, form).map(|end| (start..end, form.what)),
            None if text[start..].starts_with(PEM) => pem(text, start).map(|end| (start..end, "a private key")),
            None => password(text, end).map(|span| (span, "a password in a URL")),
        };
        let Some((span, what)) = secret else { continue };
        d.mask(span.clone());
        d.push(
            Diagnostic::error(Code::SECRET_LOOKALIKE, span, format!("this looks like {what}"))
                .label("a secret must not stand in the file")
                .help("put a reference into [secrets] and use `${secret.name}`; if this file was ever shared, change the secret"),
        );
    }
}

fn token(text: &str, start: usize, end: usize, form: &Form) -> Option<usize> {
    let bytes = text.as_bytes();
    // Inside a longer run of letters it is part of something else.
    if start > 0 && bytes[start - 1].is_ascii_alphanumeric() {
        return None;
    }
    let length = bytes[end..].iter().take_while(|b| (form.alphabet)(**b)).count();
    (length >= form.follow).then_some(end + length)
}

fn pem(text: &str, start: usize) -> Option<usize> {
    let line = text[start..].lines().next()?;
    if !line.contains("PRIVATE KEY") {
        return None;
    }
    let rest = &text[start..text.floor_char_boundary(start + LONGEST_PEM)];
    let close = rest.find("-----END ").and_then(|at| rest[at..].find('\n').map(|n| at + n));
    Some(start + close.unwrap_or(line.len()))
}

/// `scheme://user:password@host`: the password's place.
fn password(text: &str, after: usize) -> Option<std::ops::Range<usize>> {
    let rest = &text[after..];
    let end = rest.find(|c: char| c.is_whitespace() || "/\"'`<>?#".contains(c)).unwrap_or(rest.len());
    let authority = &rest[..end];
    let at = authority.rfind('@')?;
    let colon = authority[..at].find(':')?;
    let secret = &authority[colon + 1..at];
    let shown =
        secret.is_empty() || secret.starts_with("${") || secret.bytes().all(|b| b"*.xX".contains(&b)) || secret == "…";
    (!shown).then_some(after + colon + 1..after + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let source = std::sync::Arc::new(Source::new("x", text.into(), b""));
        let mut d = Diagnostics::new(source.clone());
        find(&source, &mut d);
        d.sorted().iter().map(|d| source.slice(&d.span).to_owned()).collect()
    }

    #[test]
    fn secrets_are_found_and_prose_is_not() {
        // Put together here, so that no scanner of repositories stumbles over this test.
        let key = format!("{}{}", "AKIA", "IOSFODNN7EXAMPLE");
        assert_eq!(found(&format!("# {key} here")), std::slice::from_ref(&key));
        assert_eq!(found("url = \"postgres://app:hunter2@db.example:5432/x\""), ["hunter2"]);
        assert_eq!(found("a = \"redis://:pw@h\" b = \"https://u:p@h/x\""), ["pw", "p"]);
        let pem = "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\n";
        assert_eq!(found(pem), [pem.trim_end()]);
        for prose in [
            format!("x{key}"),
            "AKIA is a prefix".into(),
            "postgres://app@db.example/x mail@example".into(),
            "https://example.com/a:b@c".into(),
            "postgres://app:***@db".into(),
            "-----BEGIN CERTIFICATE-----".into(),
            "ghp_short".into(),
        ] {
            assert_eq!(found(&prose), [""; 0], "{prose}");
        }
    }
}

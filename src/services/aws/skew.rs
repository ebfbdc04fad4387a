//! A signature that AWS calls too old or too new: this machine's clock is wrong, not the credentials.
//!
//! The words are those of "Troubleshooting AWS request signatures" (IAM User Guide): `Signature expired: OURS is
//! now earlier than LIMIT (THEIRS - 15 min.)`, `Signature not yet current: OURS is still later than LIMIT (THEIRS + 5 min.)`.

use chrono::NaiveDateTime;

use crate::base::short_duration;

const CODES: &[&str] = &["RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed"];
const WORDS: &[&str] = &["Signature expired", "Signature not yet current", "Request has expired", "too skewed"];
/// AWS takes a signature of five minutes around its own time; what is nearer is no matter of clocks.
const NEAR: i64 = 60;

/// What to do, where a refusal is about the time.
pub(super) fn skew(code: &str, message: &str) -> Option<String> {
    if !CODES.contains(&code) && !WORDS.iter().any(|words| message.contains(words)) {
        return None;
    }
    let moments: Vec<NaiveDateTime> = message
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter_map(|word| NaiveDateTime::parse_from_str(word, "%Y%m%dT%H%M%SZ").ok())
        .collect();
    let off = match (moments.first(), moments.last()) {
        (Some(ours), Some(theirs)) if moments.len() > 2 => (*theirs - *ours).num_seconds(),
        _ => 0,
    };
    let short = |seconds: i64| short_duration(std::time::Duration::from_secs(seconds.unsigned_abs()));
    let which = match off {
        off if off > NEAR => format!("is {} behind AWS's", short(off)),
        off if off < -NEAR => format!("is {} ahead of AWS's", short(off)),
        _ => "differs from AWS's by more than AWS allows".to_owned(),
    };
    Some(format!("this machine's clock {which}: set it (timedatectl set-ntp true, or chronyc makestep), then retry"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_is_told_from_wrong_keys() {
        let old =
            "Signature expired: 20261120T200000Z is now earlier than 20261120T221500Z (20261120T223000Z - 15 min.)";
        let told = skew("SignatureDoesNotMatch", old).unwrap();
        assert!(told.contains("2h30m behind AWS's"), "{told}");
        let new = "Signature not yet current: 20261120T230000Z is still later than 20261120T223500Z (20261120T223000Z + 5 min.)";
        assert!(skew("InvalidSignatureException", new).unwrap().contains("ahead of AWS's"));
        assert!(skew("RequestTimeTooSkewed", "The difference is too large.").unwrap().contains("differs from AWS's"));
        let wrong = "The request signature we calculated does not match the signature you provided.";
        assert_eq!(skew("SignatureDoesNotMatch", wrong), None);
    }
}

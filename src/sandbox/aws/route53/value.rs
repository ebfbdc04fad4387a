//! What a value of each type may look like.
//!
//! Source: "Supported DNS record types" of the developer guide. The words are the service's where they have been seen
//! (`ARRDATAIllegalIPv4Address`, `CharacterStringTooLong`, …), and in the same form where they have not.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The longest value of a TXT record, in characters.
const TXT: usize = 4000;
/// The longest string in it, in bytes.
const STRING: usize = 255;

/// Holds that a value is one of its type.
pub(super) fn check(rtype: &str, value: &str) -> Result<(), String> {
    let bad = |problem: &str| format!("Invalid Resource Record: 'FATAL problem: {problem} encountered with '{value}''");
    let fields = fields(value);
    let count = |n: usize, words: &str| {
        let wrong = || bad(&format!("{rtype}RRDATANot{words}Fields ({rtype} record does not have {n} fields)"));
        if fields.len() == n { Ok(()) } else { Err(wrong()) }
    };
    let numbers = |upto: usize, max: u32| {
        let fits = |text: &&String| text.parse::<u32>().is_ok_and(|n| n <= max);
        let wrong = || bad(&format!("{rtype}RRDATANotANumber ({rtype} record holds a bad number)"));
        if fields.iter().take(upto).all(|text| fits(&text)) { Ok(()) } else { Err(wrong()) }
    };
    let hex = |at: usize| {
        let text: String = fields.iter().skip(at).map(String::as_str).collect();
        let even = !text.is_empty() && text.len().is_multiple_of(2) && text.bytes().all(|b| b.is_ascii_hexdigit());
        if even { Ok(()) } else { Err(bad(&format!("{rtype}RRDATANotHex (Value should be hexadecimal)"))) }
    };
    let domain = |text: &str| domain(text).map_err(&bad);
    let quoted = |text: &String| match string(text) {
        Ok(()) => Ok(()),
        Err(problem) => Err(bad(problem)),
    };
    match rtype {
        "A" if value.parse::<Ipv4Addr>().is_err() => {
            Err(bad("ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)"))
        }
        "AAAA" if value.parse::<Ipv6Addr>().is_err() => {
            Err(bad("AAAARRDATAIllegalIPv6Address (Value is not a valid IPv6 address)"))
        }
        "CNAME" | "NS" | "PTR" => domain(value),
        "TXT" | "SPF" if value.chars().count() > TXT => Err(bad("ValueTooLong (Value is too long)")),
        "TXT" | "SPF" => fields.iter().try_for_each(quoted),
        "MX" => count(2, "Two").and_then(|()| {
            let number = fields[0].parse::<u16>().map(drop);
            number.map_err(|_| bad("MXRRDATAPriorityNotInteger (Priority is not an integer)"))?;
            domain(&fields[1])
        }),
        "SRV" => count(4, "Four").and_then(|()| numbers(3, 65_535)).and_then(|()| domain(&fields[3])),
        "NAPTR" => {
            count(6, "Six")?;
            numbers(2, 65_535)?;
            fields[2..5].iter().try_for_each(quoted)?;
            if fields[5] == "." { Ok(()) } else { domain(&fields[5]) }
        }
        "CAA" => {
            count(3, "Three")?;
            numbers(1, 255)?;
            if fields[1].is_empty() || !fields[1].bytes().all(|b| b.is_ascii_alphanumeric()) {
                return Err(bad("CAARRDATAInvalidTag (Tag may only contain A-Z, a-z and 0-9)"));
            }
            quoted(&fields[2])
        }
        "DS" => count(4, "Four").and_then(|()| numbers(3, 65_535)).and_then(|()| hex(3)),
        "SSHFP" => count(3, "Three").and_then(|()| numbers(2, 255)).and_then(|()| hex(2)),
        "TLSA" => count(4, "Four").and_then(|()| numbers(3, 255)).and_then(|()| hex(3)),
        "HTTPS" | "SVCB" => {
            if fields.len() < 2 {
                return Err(bad(&format!("{rtype}RRDATANotTwoFields ({rtype} record does not have 2 fields)")));
            }
            numbers(1, 65_535)?;
            if fields[1] != "." {
                domain(&fields[1])?;
            }
            let params = &fields[2..];
            let keyed = |param: &String| {
                let key = param.split('=').next().unwrap_or_default();
                !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            };
            if fields[0] == "0" && !params.is_empty() {
                return Err(bad(&format!("{rtype}RRDATAAliasMode (Alias mode takes no parameters)")));
            }
            if params.iter().all(keyed) { Ok(()) } else { Err(bad("SVCBParams (A parameter has no valid key)")) }
        }
        "SOA" => count(7, "Seven"),
        _ => Ok(()),
    }
}

/// The parts between blanks; quotes hold blanks together.
fn fields(value: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted, mut escaped) = (Vec::new(), String::new(), false, false);
    for c in value.chars() {
        match c {
            '"' if !escaped => {
                // A string ends at its quote: `"a""b"` is two.
                field.push(c);
                if quoted && field.starts_with('"') {
                    fields.push(std::mem::take(&mut field));
                }
                quoted = !quoted;
            }
            c if c.is_whitespace() && !quoted => {
                if !field.is_empty() {
                    fields.push(std::mem::take(&mut field));
                }
            }
            c => field.push(c),
        }
        escaped = c == '\\' && !escaped;
    }
    if !field.is_empty() {
        fields.push(field);
    }
    fields
}

/// A quoted string of at most 255 bytes; an escape is one.
fn string(text: &str) -> Result<(), &'static str> {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).filter(|_| text.len() >= 2);
    let Some(inner) = inner else {
        return Err("InvalidCharacterString (Value should be enclosed in quotation marks)");
    };
    let (mut length, mut rest) = (0, inner.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        length += 1;
        rest = match (first, after) {
            (b'\\', [b'0'..=b'7', b'0'..=b'7', b'0'..=b'7', after @ ..]) | (b'\\', [_, after @ ..]) => after,
            _ => after,
        };
    }
    if length > STRING { Err("CharacterStringTooLong (Value is too long)") } else { Ok(()) }
}

fn domain(text: &str) -> Result<(), &'static str> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.split('.').any(str::is_empty) {
        Err("DomainLabelEmpty (Domain label is empty)")
    } else if text.split('.').any(|label| label.len() > 63) {
        Err("DomainLabelTooLong (Domain label is too long)")
    } else if text.contains(char::is_whitespace) {
        Err("UnexpectedWhitespace (Domain name contains white space)")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_each_type() {
        let long = format!("\"{}\" \"{}\"", "x".repeat(255), "\\303\\244".repeat(127));
        let good = [
            ("A", "192.0.2.1"),
            ("AAAA", "2001:db8::1"),
            ("CAA", "0 issue \"ca.example.net; account=123456\""),
            ("CNAME", "new.example.net"),
            ("DS", "123 4 5 1234567890abcdef1234567890ABCDEF"),
            ("HTTPS", "1 . alpn=\"h2,h3\" ipv4hint=192.0.2.1"),
            ("HTTPS", "0 www.example.com"),
            ("MX", "10 mail.example.net."),
            ("NAPTR", "100 50 \"u\" \"E2U+sip\" \"!^(\\\\+441632960083)$!sip:\\\\1@example.com!\" ."),
            ("SRV", "10 5 80 host.example.com"),
            ("SSHFP", "4 2 123456789abcdef67890123456789abcdef67890123456789abcdef123456789"),
            ("SVCB", "1 svc.example.com. port=8443"),
            ("TLSA", "3 1 1 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971"),
            ("TXT", "\"a b\" \"say \\\"hi\\\"\""),
            ("TXT", "\"joined\"\"strings\""),
            ("TXT", long.as_str()),
        ];
        for (rtype, value) in good {
            assert_eq!(check(rtype, value), Ok(()), "{rtype} {value}");
        }
        let too_long = format!("\"{}\"", "x".repeat(256));
        let bad = [
            ("A", "not-an-ip", "ARRDATAIllegalIPv4Address"),
            ("AAAA", "192.0.2.1", "AAAARRDATAIllegalIPv6Address"),
            ("CAA", "0 issue amazon.com", "InvalidCharacterString"),
            ("CAA", "256 issue \"a\"", "NotANumber"),
            ("CNAME", "a..b", "DomainLabelEmpty"),
            ("CNAME", "a b", "UnexpectedWhitespace"),
            ("DS", "123 4 5 xyz", "NotHex"),
            ("HTTPS", "1", "NotTwoFields"),
            ("HTTPS", "0 . alpn=h2", "AliasMode"),
            ("MX", "mail.example.net", "MXRRDATANotTwoFields"),
            ("MX", "x mail.example.net", "MXRRDATAPriorityNotInteger"),
            ("NAPTR", "1 2 u \"\" \"\" .", "InvalidCharacterString"),
            ("SRV", "10 5 80", "NotFourFields"),
            ("SSHFP", "4 2", "NotThreeFields"),
            ("TLSA", "3 1 1", "NotFourFields"),
            ("TXT", "bare", "InvalidCharacterString"),
            ("TXT", too_long.as_str(), "CharacterStringTooLong"),
        ];
        for (rtype, value, problem) in bad {
            let said = check(rtype, value).unwrap_err();
            assert!(said.contains(problem), "{rtype} {value}: {said}");
        }
    }
}

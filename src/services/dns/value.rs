//! A record's value in the one form in which two may be compared, whoever wrote them: a server on the wire
//! or a person in a runbook. Addresses as the standard library writes them, names in lower case without
//! the last dot, TXT as one text, everything else by its fields.

use std::net::IpAddr;

use hickory_proto::rr::{
    RData, RecordType,
    rdata::{CAA, SVCB},
};

use super::{name, shown};

/// The canonical form. Compared whole, shown cut.
pub type Value = String;

/// What a server sent.
pub(super) fn value_of(data: &RData) -> Value {
    match data {
        RData::A(ip) => ip.0.to_string(),
        RData::AAAA(ip) => ip.0.to_string(),
        RData::CNAME(name) => shown(&name.0),
        RData::NS(name) => shown(&name.0),
        RData::PTR(name) => shown(&name.0),
        RData::MX(mx) => format!("{} {}", mx.preference, shown(&mx.exchange)),
        RData::SRV(srv) => format!("{} {} {} {}", srv.priority, srv.weight, srv.port, shown(&srv.target)),
        RData::TXT(txt) => txt.txt_data.iter().map(|part| plain(part)).collect(),
        RData::CAA(caa) => caa_value(caa),
        RData::HTTPS(https) => svcb_value(&https.0),
        RData::SVCB(svcb) => svcb_value(svcb),
        RData::SOA(soa) => format!(
            "{} {} {} {} {} {} {}",
            shown(&soa.mname),
            shown(&soa.rname),
            soa.serial,
            soa.refresh,
            soa.retry,
            soa.expire,
            soa.minimum
        ),
        other => other.to_string(),
    }
}

/// What a person wrote as a value of a type. For A and AAAA a name is taken too: that of a CNAME's target.
///
/// # Errors
/// What is wrong with it, as a fragment: "is no MX value, such as `10 mail.acme.example`".
pub fn read_value(kind: RecordType, text: &str) -> Result<Value, String> {
    let text = text.trim();
    match kind {
        RecordType::A | RecordType::AAAA => match text.parse() {
            Ok(IpAddr::V6(_)) if kind == RecordType::A => Err("is an IPv6 address; type AAAA holds those".into()),
            Ok(IpAddr::V4(_)) if kind == RecordType::AAAA => Err("is an IPv4 address; type A holds those".into()),
            Ok(ip) => Ok(ip.to_string()),
            // "203.0.113" is a name by its letters, but nobody means it.
            Err(_) if text.chars().all(|c| c.is_ascii_digit() || c == '.') => Err("is no address".into()),
            Err(_) => name(text).map(|name| shown(&name)).map_err(|_| "is neither an address nor a name".into()),
        },
        RecordType::CNAME | RecordType::NS | RecordType::PTR => {
            name(text).map(|name| shown(&name)).map_err(|failure| failure.message)
        }
        RecordType::TXT => txt(text),
        _ => {
            let example = match kind {
                RecordType::CAA => "`0 issue \"amazon.com\"`",
                RecordType::HTTPS | RecordType::SVCB => "`1 . alpn=h2,h3`",
                RecordType::MX => "`10 mail.acme.example`",
                RecordType::SRV => "`10 5 443 shop.acme.example`",
                RecordType::SOA => "`ns1.acme.example hostmaster.acme.example 1 7200 900 1209600 300`",
                _ => "what `dig +short` prints",
            };
            // The parser knows line ends only where there is one, and drops what follows a value.
            let data = RData::try_from_str(kind, text).map_err(|_| format!("is no {kind} value, such as {example}"))?;
            Ok(value_of(&data))
        }
    }
}

fn caa_value(caa: &CAA) -> Value {
    let flags = u8::from(caa.issuer_critical) << 7 | caa.reserved_flags;
    format!("{flags} {} \"{}\"", caa.tag.to_ascii_lowercase(), plain(&caa.value))
}

fn svcb_value(svcb: &SVCB) -> Value {
    let mut params = svcb.svc_params.iter().collect::<Vec<_>>();
    params.sort_by_key(|(key, _)| u16::from(*key));
    let target = if svcb.target_name.is_root() { ".".to_owned() } else { shown(&svcb.target_name) };
    let mut value = format!("{} {target}", svcb.svc_priority);
    for (key, param) in params {
        // Lists come with a comma after each of their items.
        let text = param.to_string();
        let text = text.trim_end_matches(',').trim_matches('"');
        value += &if text.is_empty() { format!(" {key}") } else { format!(" {key}={text}") };
    }
    value
}

/// Bytes of a character string: what is no text as `\ddd` (RFC 1035 section 5.1).
fn plain(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() {
                let mut utf8 = [0; 4];
                text.extend(c.encode_utf8(&mut utf8).bytes().map(|byte| format!("\\{byte:03}")));
            } else {
                text.push(c);
            }
        }
        text.extend(chunk.invalid().iter().map(|byte| format!("\\{byte:03}")));
    }
    text
}

/// A text as it is, or as in a zone file: `"…" "…"`, with `\"`, `\\` and `\ddd`.
fn txt(text: &str) -> Result<Value, String> {
    if !text.starts_with('"') {
        return Ok(plain(text.as_bytes()));
    }
    let (mut bytes, mut quoted) = (Vec::new(), false);
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match (byte, quoted) {
            (b'"', _) => quoted = !quoted,
            (b' ' | b'\t', false) => {}
            (_, false) => return Err("has text outside of its quotes".into()),
            (b'\\', true) => {
                let escaped = rest.next().ok_or("ends in the middle of an escape")?;
                if escaped.is_ascii_digit() {
                    let code = [Some(escaped), rest.next(), rest.next()];
                    let code = code.iter().flatten().map(|byte| char::from(*byte)).collect::<String>();
                    bytes.push(code.parse::<u8>().map_err(|_| "has an escape that is no \\ddd")?);
                } else {
                    bytes.push(escaped);
                }
            }
            (byte, true) => bytes.push(byte),
        }
    }
    if quoted { Err("has a quote that is not closed".into()) } else { Ok(plain(&bytes)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write() {
        for (kind, written, canon) in [
            ("A", "203.0.113.9", "203.0.113.9"),
            ("A", "Web.HerokuDNS.com.", "web.herokudns.com"),
            ("AAAA", "2001:DB8:0::1", "2001:db8::1"),
            ("CNAME", "Web.HerokuDNS.com.", "web.herokudns.com"),
            ("NS", "NS1.acme.example.", "ns1.acme.example"),
            ("TXT", "v=spf1 -All", "v=spf1 -All"),
            ("TXT", "\"v=spf1 \" \"-all\"", "v=spf1 -all"),
            ("TXT", r#""a\"b\\c\010d""#, "a\"b\\c\\010d"),
            ("MX", "10 Mail.acme.example.", "10 mail.acme.example"),
            ("MX", "10   mail.acme.example", "10 mail.acme.example"),
            ("CAA", "0 ISSUE \"amazon.com\"", "0 issue \"amazon.com\""),
            ("CAA", "128 issue letsencrypt.org", "128 issue \"letsencrypt.org\""),
            ("CAA", "0 issue \"ca.example; account=230123\"", "0 issue \"ca.example; account=230123\""),
            ("HTTPS", "1 . alpn=h2,h3", "1 . alpn=h2,h3"),
            ("HTTPS", "1 . ipv4hint=192.0.2.1 alpn=\"h2,h3\"", "1 . alpn=h2,h3 ipv4hint=192.0.2.1"),
            ("HTTPS", "0 Shop.Acme.example.", "0 shop.acme.example"),
            ("SRV", "10 5 443 Shop.acme.example.", "10 5 443 shop.acme.example"),
        ] {
            assert_eq!(read_value(kind.parse().unwrap(), written).as_deref(), Ok(canon), "{kind} {written}");
        }
        for (kind, written) in [
            ("A", "2001:db8::1"),
            ("AAAA", "203.0.113.9"),
            ("A", "203.0.113"),
            ("A", "a..b"),
            ("MX", "mail.acme.example"),
            ("MX", ""),
            ("CAA", "amazon.com"),
            ("CAA", "0 issue ;"),
            ("HTTPS", "."),
            ("TXT", "\"open"),
            ("TXT", "\"a\\"),
            ("TXT", "\"a\\999\""),
            ("TXT", "\"a\" b"),
            ("SRV", "1 2 x y"),
        ] {
            assert!(read_value(kind.parse().unwrap(), written).is_err(), "{kind} {written}");
        }
    }

    #[test]
    fn bytes_that_are_no_text() {
        assert_eq!(plain(b"a\xffb\x00\n"), "a\\255b\\000\\010");
        assert_eq!(plain("grün".as_bytes()), "grün");
    }
}

//! Why there was no handshake, in words: what the server said instead, or what rustls did not like.

use std::io;

use rustls::{AlertDescription, Error, InvalidMessage};

use super::verdict::Fault;
use crate::base::clean_line;

/// No connection.
pub(super) fn connecting(error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Fault::new("nothing listens there (connection refused)"),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable | io::ErrorKind::AddrNotAvailable => {
            Fault::new(format!("it cannot be reached from here ({error})"))
                .hint("without IPv6 on this machine, say `family = \"ipv4\"`")
        }
        _ => Fault::new(format!("no connection: {error}")),
    }
}

/// A connection, but no handshake. `head` is what the server said first.
pub(super) fn shaking_hands(error: &io::Error, head: &[u8], host: &str, alpn: &[String]) -> Fault {
    if let Some(fault) = no_tls(head) {
        return fault;
    }
    let Some(reason) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => Fault::new("the server closed the connection during the handshake"),
            io::ErrorKind::ConnectionReset => Fault::new("the server reset the connection during the handshake"),
            _ => Fault::new(format!("the handshake broke: {error}")),
        };
    };
    match reason {
        Error::AlertReceived(alert) => alerted(*alert, host, alpn),
        Error::InvalidMessage(
            InvalidMessage::CertificatePayloadTooLarge
            | InvalidMessage::HandshakePayloadTooLarge
            | InvalidMessage::MessageTooLarge,
        ) => Fault::new("its certificates are larger than 64 KiB together, which clients refuse"),
        Error::PeerIncompatible(why) => {
            Fault::new(format!("the server has nothing in common with TLS 1.2 or 1.3: {why:?}"))
        }
        Error::NoApplicationProtocol => no_protocol(alpn),
        other => Fault::new(format!("the handshake failed: {other}")),
    }
}

/// An alert of the server (RFC 8446 section 6), in words.
fn alerted(alert: AlertDescription, host: &str, alpn: &[String]) -> Fault {
    let name = alert.as_str().map_or_else(|| format!("{alert:?}"), str::to_owned);
    let said = |words: &str| Fault::new(format!("the server refused the handshake: {words} (alert {name})"));
    match alert {
        AlertDescription::UnrecognisedName => {
            said(&format!("it knows no {host}")).hint("the listener has no certificate for this name")
        }
        AlertDescription::ProtocolVersion => said("it speaks neither TLS 1.2 nor TLS 1.3"),
        AlertDescription::NoApplicationProtocol => no_protocol(alpn),
        AlertDescription::HandshakeFailure => said(&format!("no common cipher, or no certificate for {host}")),
        AlertDescription::CertificateRequired | AlertDescription::BadCertificate => {
            said("it asks for a certificate of the client")
        }
        AlertDescription::InternalError => said("it has an error of its own; often a name without a certificate"),
        _ => said("it gives no reason"),
    }
}

fn no_protocol(alpn: &[String]) -> Fault {
    Fault::new(format!("the server does not speak {} (ALPN)", alpn.join(", ")))
}

/// What speaks there where it is not TLS. A TLS record begins with its type, 20 to 24.
fn no_tls(head: &[u8]) -> Option<Fault> {
    let first = head.first().filter(|first| !(20..=24).contains(*first))?;
    if head.starts_with(b"HTTP/") || head.starts_with(b"<") {
        return Some(
            Fault::new("plain HTTP is spoken on that port, not TLS").hint("name the port of the TLS listener"),
        );
    }
    let words = clean_line(&String::from_utf8_lossy(head), 60);
    let said = if first.is_ascii_graphic() { format!(": it says `{words}`") } else { String::new() };
    Some(Fault::new(format!("no TLS is spoken on that port{said}")).hint("name the port of the TLS listener"))
}

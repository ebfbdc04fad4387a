//! `tls.certificate`, against servers that show every kind of certificate, nginx and openssl among them.

use std::{
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use gonogo::{
    base::{Class, Failure},
    plan::Seen,
    runbook::{DnsEnv, HttpEnv},
    services::{Services, tls::Certificate},
};
use rcgen::{CertificateParams, CustomExtension, ExtendedKeyUsagePurpose};

use super::{
    contract::{attempt, attempt_of, check, env, points_at, services},
    ends::{Case, End, aws, aws_with, contract},
    fake_dns::{FakeDns, Say},
    fake_tls::{
        Authority, BySni, Made, Served, config, dates, issuer, key, pem, pem_key, says, serve, server, shows, tls_at,
    },
};

const KIND: &str = "tls.certificate";
const HOST: &str = "shop.acme.example";

fn sandbox_http(there: &super::ends::Aws) -> HttpEnv {
    let at = there.sandbox.as_ref().unwrap().endpoints();
    HttpEnv {
        resolve_only_by_dns: true,
        default_port: Some(at.web_port),
        default_tls_port: Some(at.tls_port),
        ca: Some(at.ca.clone()),
    }
}

async fn case(end: End) -> Case {
    let there = aws(end).await;
    let at = there.sandbox.as_ref().unwrap().endpoints();
    let text = format!("host = \"{}\"\nconnect_to = \"{}\"\nmin_days = 30", at.host, at.new_target);
    let mut case = Case::aws(&there, text, ("host = 'https://x/'", "'https://x/'"));
    case.env.http = sandbox_http(&there);
    case.not_so(format!("host = \"{}\"\nconnect_to = \"{}\"\nmin_days = 3000", at.host, at.new_target))
}

// moto and knot speak no TLS of their own.
contract!(KIND, case; sandbox: Sandbox);

async fn look(services: &Arc<Services>, text: &str) -> Result<Seen, Failure> {
    check(KIND, text, services).check(&attempt().cx).await
}

fn here() -> Arc<Services> {
    services(env())
}

fn at(served: &Served, ca: &Authority, rest: &str) -> String {
    format!("host = \"{HOST}\"\nconnect_to = \"{}\"\nca = \"{}\"\n{rest}", served.address, ca.ca().display())
}

/// What is wrong, as one text; the class is always "not yet".
async fn wrong(text: &str) -> Failure {
    let failure = look(&here(), text).await.expect_err(text);
    assert_eq!(failure.class, Class::NotYet, "{failure:?}");
    failure
}

#[tokio::test]
async fn a_good_one_and_its_evidence() {
    let ca = Authority::new();
    let made = ca.leaf(&server(&[HOST, "*.shop.acme.example"]));
    let served = shows(&made).await;
    let seen = look(&here(), &at(&served, &ca, "names = ['a.shop.acme.example', '*.shop.acme.example']\nmin_days = 70\nissuer = 'test TRUST'\nmin_tls = '1.3'"))
        .await
        .unwrap();
    assert!(seen.line.contains("by Test Trust, TLS 1.3") && seen.line.contains(HOST), "{}", seen.line);
    assert!(matches!(seen.value, Some(79.0 | 80.0)), "{:?}", seen.value);
    let one = &seen.evidence["certificates"][0];
    assert_eq!(one["names"], serde_json::json!([HOST, "*.shop.acme.example"]));
    assert_eq!(
        (one["key"].as_str(), one["issuer"].as_str()),
        (Some("EC P-256"), Some("CN=Test Intermediate, O=Test Trust"))
    );
    assert_eq!(
        (seen.evidence["addresses"][0]["chain"].as_i64(), seen.evidence["addresses"][0]["protocol"].as_str()),
        (Some(2), Some("TLS 1.3"))
    );
    // As openssl reads it.
    let file = ca.folder.path().join("leaf.pem");
    std::fs::write(&file, pem(&made.chain[0])).unwrap();
    let out =
        openssl(&["x509", "-in", file.to_str().unwrap(), "-noout", "-fingerprint", "-sha256", "-serial", "-enddate"]);
    let field = |name: &str| {
        out.lines()
            .find_map(|line| line.split_once('=').filter(|(key, _)| key.eq_ignore_ascii_case(name)))
            .unwrap()
            .1
            .to_owned()
    };
    assert_eq!(one["sha256"].as_str().unwrap(), field("sha256 fingerprint").replace(':', "").to_lowercase());
    assert_eq!(one["serial"].as_str().unwrap(), field("serial"));
    let end = chrono::NaiveDateTime::parse_from_str(&field("notAfter"), "%b %e %H:%M:%S %Y GMT").unwrap();
    assert_eq!(one["not_after"].as_str().unwrap(), end.and_utc().to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
}

/// A leaf that is wrong in one way, and the sentence that says it.
#[tokio::test]
async fn each_fault_has_its_own_sentence() {
    let ca = Authority::new();
    let dated = |from, until| {
        let mut params = server(&[HOST]);
        dates(&mut params, from, until);
        params
    };
    let mut for_clients = server(&[HOST]);
    for_clients.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let good = || ca.leaf(&server(&[HOST]));
    let without_middle = |mut params: CertificateParams, at: Option<&str>| {
        // Authority information access: where the issuer's certificate can be had.
        if let Some(at) = at {
            let inner = [&[0x06, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, 2, 0x86, at.len() as u8], at.as_bytes()].concat();
            let one = [&[0x30, inner.len() as u8], inner.as_slice()].concat();
            let all = [&[0x30, one.len() as u8], one.as_slice()].concat();
            params.custom_extensions = vec![CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], all)];
        }
        let mut made = ca.leaf(&params);
        made.chain.truncate(1);
        made
    };
    let alone = {
        let key = key();
        Made { chain: vec![server(&[HOST]).self_signed(&key).unwrap().der().clone()], key }
    };
    let (other, twin) = (Authority::named("Other"), Authority::new());
    let mut with_root = other.leaf(&server(&[HOST]));
    with_root.chain.push(other.root.der().clone());
    let mut unrelated = ca.leaf(&server(&[HOST]));
    unrelated.chain[1] = issuer("Somebody Else").self_signed(&key()).unwrap().der().clone();
    let stranger = Made { key: key(), ..good() };
    let old_middle = {
        let mut params = issuer("Old Intermediate");
        dates(&mut params, -90, -1);
        let old = rcgen::CertifiedIssuer::signed_by(params, key(), &ca.root).unwrap();
        let key = key();
        let leaf = server(&[HOST]).signed_by(&key, &old).unwrap();
        Made { chain: vec![leaf.der().clone(), old.der().clone()], key }
    };
    let mut changed = good();
    let last = changed.chain[0].len() - 1;
    let mut bytes = changed.chain[0].to_vec();
    bytes[last] ^= 1;
    changed.chain[0] = bytes.into();
    let cases = [
        (ca.leaf(&dated(-90, -3)), "it expired on ", 1),
        (ca.leaf(&dated(3, 90)), "it is not valid before ", 1),
        (
            ca.leaf(&server(&["acme.example", "*.acme.example.org"])),
            "it is not for shop.acme.example; its names are acme.example, *.acme.example.org",
            1,
        ),
        (ca.leaf(&server(&[])), "it has no subject alternative name at all", 1),
        (without_middle(server(&[HOST]), None), "an intermediate may be missing", 1),
        (
            without_middle(server(&[HOST]), Some("http://ca.example/1.cer")),
            "its chain is incomplete: the intermediate CN=Test Intermediate, O=Test Trust is missing (the server sends no other certificate); it can be had at http://ca.example/1.cer",
            1,
        ),
        (unrelated, "what else the server sends did not issue it", 1),
        (alone, "it is self-signed", 1),
        (with_root, "its chain ends at CN=Other Root, O=Test Trust, which is not trusted here", 1),
        (ca.leaf(&for_clients), "it is not meant for servers", 1),
        (stranger, "the server did not prove that it holds the certificate's key", 1),
        (old_middle, "a certificate of its chain, CN=Old Intermediate, O=Test Trust, is not valid", 1),
        (changed, "a signature in its chain is false", 1),
        (twin.leaf(&server(&[HOST])), "an authority of the same name has another key", 1),
        // Everything at once.
        (other.leaf(&dated(-90, -3)), "an intermediate may be missing", 2),
    ];
    let rest_of_one = ["its names are", "it can be had", "it has no subject"];
    for (made, sentence, many) in cases {
        let served = shows(&made).await;
        let failure = wrong(&at(&served, &ca, "")).await;
        let (_, said) = failure.message.split_once(": ").unwrap();
        assert!(said.contains(sentence), "{sentence}: {failure:?}");
        assert_eq!(
            said.split("; ").filter(|part| !rest_of_one.iter().any(|rest| part.starts_with(rest))).count(),
            many,
            "{failure:?}"
        );
        assert!(failure.message.starts_with(&format!("{HOST} at {}", served.address)), "{failure:?}");
    }
}

#[tokio::test]
async fn names_and_wishes() {
    let ca = Authority::new();
    let served = shows(&ca.leaf(&server(&["*.acme.example", "acme.example", "127.0.0.1", "::1"]))).await;
    look(
        &here(),
        &at(&served, &ca, "names = ['acme.example', 'SHOP.acme.example', '*.acme.example', '127.0.0.1', '::1']"),
    )
    .await
    .unwrap();
    for (names, missing) in [
        (
            "a.shop.acme.example",
            "it is not for a.shop.acme.example; its names are *.acme.example, acme.example, 127.0.0.1, ::1",
        ),
        ("*.shop.acme.example", "it is not for *.shop.acme.example"),
        ("127.0.0.2", "it is not for 127.0.0.2"),
        ("acme.example.org", "it is not for acme.example.org"),
    ] {
        let failure = wrong(&at(&served, &ca, &format!("names = ['acme.example', '{names}']"))).await;
        assert!(failure.message.contains(missing), "{failure:?}");
    }
    // An address as host.
    let by_address = format!("host = \"127.0.0.1\"\nport = {}\nca = \"{}\"", served.address.port(), ca.ca().display());
    look(&here(), &by_address).await.unwrap();
    for (rest, said) in [
        ("min_days = 365", "are asked for"),
        ("issuer = 'Amazon'", "it was issued by CN=Test Intermediate, O=Test Trust, not by Amazon"),
        ("alpn = 'h2'", "the server chose nothing instead of h2 (ALPN)"),
    ] {
        let failure = wrong(&at(&served, &ca, rest)).await;
        assert!(failure.message.contains(said), "{failure:?}");
    }
}

#[tokio::test]
async fn versions_protocols_and_names_that_are_asked_for() {
    let ca = Authority::new();
    let (shop, api) = (ca.leaf(&server(&[HOST])), ca.leaf(&server(&["api.acme.example"])));
    let both = || BySni(vec![(HOST, shop.certified()), ("api.acme.example", api.certified())]);
    let mut old = config(&[&rustls::version::TLS12], both());
    old.alpn_protocols = vec![b"h2".to_vec()];
    let served = tls_at("127.0.0.1:0", old).await;
    let seen = look(&here(), &at(&served, &ca, "alpn = 'h2'")).await.unwrap();
    assert!(seen.line.ends_with("TLS 1.2"), "{}", seen.line);
    assert_eq!(seen.evidence["addresses"][0]["alpn"], "h2");
    let failure = wrong(&at(&served, &ca, "min_tls = '1.3'")).await;
    assert!(failure.message.contains("the server speaks TLS 1.2 only, TLS 1.3 is asked for"), "{failure:?}");
    let failure = wrong(&at(&served, &ca, "alpn = 'http/1.1'")).await;
    assert!(failure.message.contains("the server does not speak http/1.1 (ALPN)"), "{failure:?}");
    // Two hosts, one address: each its own certificate.
    let text = at(&served, &ca, "").replace(HOST, "api.acme.example");
    assert_eq!(look(&here(), &text).await.unwrap().evidence["certificates"][0]["names"][0], "api.acme.example");
    let failure = wrong(&at(&served, &ca, "").replace(HOST, "www.acme.example")).await;
    assert!(failure.message.contains("the server refused the handshake"), "{failure:?}");
}

#[tokio::test]
async fn what_is_no_handshake() {
    let ca = Authority::new();
    let closes = serve("127.0.0.1:0", |stream| async move { drop(stream) }).await;
    for (served, sentence) in [
        (says(b"HTTP/1.1 400 Bad Request\r\n\r\n").await, "no data: shop.acme.example at "),
        (says(b"HTTP/1.1 400 Bad Request\r\n\r\n").await, "plain HTTP is spoken on that port"),
        (says(b"SSH-2.0-OpenSSH_9.2\r\n").await, "no TLS is spoken on that port: it says `SSH-2.0-OpenSSH_9.2`"),
        (says(b"\x15\x03\x01\x00\x02\x02\x46").await, "it speaks neither TLS 1.2 nor TLS 1.3 (alert ProtocolVersion)"),
        (says(b"\x15\x03\x03\x00\x02\x02\x70").await, "it knows no shop.acme.example (alert UnrecognisedName)"),
        (closes, "during the handshake"),
    ] {
        let failure = wrong(&at(&served, &ca, "")).await;
        assert!(failure.message.contains(sentence), "{failure:?}");
    }
    let text = format!(
        "host = \"{HOST}\"
connect_to = \"127.0.0.1:{}\"
ca = \"{}\"",
        free_port(),
        ca.ca().display()
    );
    let failure = wrong(&text).await;
    assert!(failure.message.contains("nothing listens there"), "{failure:?}");
    // A chain that is larger than any client takes.
    let mut many = ca.leaf(&server(&[HOST]));
    let one = many.chain[1].clone();
    many.chain.extend(std::iter::repeat_n(one, 200));
    let served = shows(&many).await;
    let failure = wrong(&at(&served, &ca, "")).await;
    assert!(failure.message.contains("larger than 64 KiB"), "{failure:?}");
    // One that is large, but not too large.
    many.chain.truncate(100);
    look(&here(), &at(&shows(&many).await, &ca, "")).await.unwrap();
}

#[tokio::test]
async fn the_deadline_that_struck_is_named() {
    let ca = Authority::new();
    let hangs = serve("127.0.0.1:0", |stream| async move {
        let _held = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let begun = Instant::now();
    let failure = wrong(&at(&hangs, &ca, "timeout = '300ms'")).await;
    assert!(
        failure.message.contains("connected, but no TLS handshake before the whole look's 0.3 s were over"),
        "{failure:?}"
    );
    assert!(begun.elapsed() < Duration::from_secs(3));
    let failure = wrong(&at(&hangs, &ca, "")).await;
    assert!(failure.message.contains("connected, but no TLS handshake within 5.0 s"), "{failure:?}");
    // A listener whose queue is full lets nobody in.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let address = full.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) =
        tokio::time::timeout(Duration::from_millis(300), tokio::net::TcpStream::connect(address)).await
    {
        waiting.push(stream.unwrap());
    }
    let text =
        format!("host = \"{HOST}\"\nconnect_to = \"{address}\"\nca = \"{}\"\ntimeout = '400ms'", ca.ca().display());
    let failure = wrong(&text).await;
    assert!(failure.message.contains("no connection before the whole look's 0.4 s"), "{failure:?}");
    // Told to stop, it stops.
    let short = attempt_of(Duration::from_secs(30), std::collections::BTreeMap::new());
    let (cx, looking) = (short.cx.clone(), check(KIND, &at(&hangs, &ca, ""), &here()));
    let task = tokio::spawn(async move { looking.check(&cx).await });
    short.cx.cancel.cancel();
    assert_eq!(task.await.unwrap().unwrap_err().message, "cancelled");
}

/// Every address of a name is asked, and the bad one is named.
#[tokio::test]
async fn every_address_counts() {
    let ca = Authority::new();
    let good = ca.leaf(&server(&[HOST]));
    let expired = {
        let mut params = server(&[HOST]);
        dates(&mut params, -90, -3);
        ca.leaf(&params)
    };
    // Where there is no ::1, the third address is one more of IPv4.
    let six = crate::knot::has_ipv6();
    let (third, record) = match six {
        true => ("::1", "shop.acme.example 60 AAAA ::1"),
        false => ("127.0.0.6", "shop.acme.example 60 A 127.0.0.6"),
    };
    let third = crate::knot::ip(third);
    let port = crate::knot::free_port(&[crate::knot::ip("127.0.0.1"), crate::knot::ip("127.0.0.5"), third]);
    let shown = |made: &Made| config(rustls::ALL_VERSIONS, BySni(vec![("*", made.certified())]));
    let _first = tls_at(&format!("127.0.0.1:{port}"), shown(&good)).await;
    let _second = tls_at(&format!("127.0.0.5:{port}"), shown(&good)).await;
    let _third = tls_at(&std::net::SocketAddr::new(third, port).to_string(), shown(&expired)).await;
    let records = ["shop.acme.example 60 A 127.0.0.1", "shop.acme.example 60 A 127.0.0.5", record];
    let dns = FakeDns::start(move |asked| Say::Answer(asked.in_zone(&records))).await;
    let mut env = env();
    env.dns = DnsEnv { resolvers: vec![dns.address], ..DnsEnv::default() };
    env.http = HttpEnv { resolve_only_by_dns: true, ca: Some(pem(ca.root.der())), ..HttpEnv::default() };
    let services = services(env);
    let failure = look(&services, &format!("host = \"{HOST}\"\nport = {port}")).await.unwrap_err();
    let words =
        format!("1 of 3 addresses are not right; {HOST} at {}: it expired on ", std::net::SocketAddr::new(third, port));
    assert!(failure.message.starts_with(&words), "{failure:?}");
    if six {
        let text = format!("host = \"{HOST}\"\nport = {port}\nfamily = 'ipv4'");
        let seen = look(&services, &text).await.unwrap();
        assert!(seen.line.contains("at 2 addresses"), "{}", seen.line);
        assert_eq!(seen.evidence["addresses"].as_array().map(Vec::len), Some(2));
    }
    let outside = look(&services, &format!("host = \"{HOST}\"\nconnect_to = '192.0.2.1'")).await.unwrap_err();
    assert_eq!(outside.class, Class::Refused, "{outside:?}");
}

#[tokio::test]
async fn the_sandbox_shows_what_its_faults_say() {
    let there = aws_with(&["tls.expired", "tls.other_name"]).await;
    let at = there.sandbox.as_ref().unwrap().endpoints();
    let mut env = there.env.clone();
    env.http = sandbox_http(&there);
    let services = services(env);
    let new = format!("host = \"{}\"\nconnect_to = \"{}\"", at.host, at.new_target);
    let failure = look(&services, &new).await.unwrap_err();
    assert!(failure.message.contains("it expired on "), "{failure:?}");
    let failure = look(&services, &new).await.unwrap_err();
    assert!(failure.message.contains(&format!("its names are {}", at.new_target)), "{failure:?}");
    look(&services, &new).await.unwrap();
    let old = look(&services, &format!("host = \"{}\"\nnames = ['www.acme.example']", at.host)).await.unwrap();
    assert_eq!(old.evidence["addresses"][0]["chain"], 2);
    let page =
        check("http.check", &format!("url = 'https://{}/healthz'", at.host), &services).check(&attempt().cx).await;
    assert!(page.unwrap().line.contains("200"));
}

fn openssl(args: &[&str]) -> String {
    let out = Command::new("openssl")
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("openssl is missing: run tests/run, which installs it");
    assert!(out.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    crate::knot::free_port(&["127.0.0.1".parse().unwrap()])
}

/// Starts a server on a port and waits until it listens there; on another port where it ends instead.
async fn listening(command: impl Fn(u16) -> Command) -> (Running, u16) {
    for _ in 0..5 {
        let port = free_port();
        let mut server = Running(command(port).spawn().unwrap());
        let begun = Instant::now();
        while server.0.try_wait().unwrap().is_none() {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return (server, port);
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "nothing listens on {port}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    panic!("it ended five times: {:?}", command(0));
}

/// What our own servers cannot show: openssl's, with keys, hashes and versions of the past.
#[tokio::test]
async fn openssl_shows_the_past() {
    let ca = Authority::new();
    let folder = ca.folder.path().to_str().unwrap().to_owned();
    for (key, hash, flags, sentence) in [
        ("rsa:1024", "-sha256", "", "it has an RSA key of 1024 bits; 2048 is the least"),
        ("rsa:2048", "-sha1", "", "signed with SHA-1, which is broken"),
        ("rsa:2048", "-sha256", "-tls1_1", "it speaks neither TLS 1.2 nor TLS 1.3"),
        ("rsa:2048", "-sha256", "-tls1_2", ""),
    ] {
        let file = |name: &str| format!("{folder}/{name}.pem");
        let subject = ["-subj", "/O=Test Trust/CN=Old Root", "-days", "30"];
        openssl(
            &[
                &["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", &file("rk"), "-out", &file("ca")],
                &subject[..],
            ]
            .concat(),
        );
        let san = format!("subjectAltName=DNS:{HOST}");
        openssl(&[
            "req",
            "-newkey",
            key,
            "-nodes",
            "-keyout",
            &file("k"),
            "-out",
            &file("csr"),
            "-subj",
            "/CN=x",
            "-addext",
            &san,
        ]);
        openssl(&[
            "x509",
            "-req",
            hash,
            "-in",
            &file("csr"),
            "-CA",
            &file("ca"),
            "-CAkey",
            &file("rk"),
            "-out",
            &file("c"),
            "-days",
            "20",
            "-copy_extensions",
            "copyall",
        ]);
        let (_server, port) = listening(|port| {
            let mut command = Command::new("openssl");
            command.args(["s_server", "-quiet", "-accept", &format!("127.0.0.1:{port}")]);
            command.args(["-cert", &file("c"), "-key", &file("k"), "-cipher", "ALL@SECLEVEL=0"]);
            command.args(flags.split_whitespace()).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
            command
        })
        .await;
        let text = format!("host = \"{HOST}\"\nconnect_to = \"127.0.0.1:{port}\"\nca = \"{}\"", ca.ca().display());
        if sentence.is_empty() {
            let seen = look(&here(), &text).await.unwrap();
            assert_eq!(seen.evidence["certificates"][0]["key"], "RSA 2048");
        } else {
            let failure = wrong(&text).await;
            assert!(failure.message.contains(sentence), "{key} {hash} {flags}: {failure:?}");
        }
    }
}

/// A real nginx: two names on one port, HTTP/2, and its answer to plain HTTP.
#[tokio::test]
async fn nginx() {
    let ca = Authority::new();
    let folder = ca.folder.path();
    let names = ["default.example", HOST, "api.acme.example"].map(|name| {
        let made = ca.leaf(&server(&[name]));
        let (certificate, key) = (folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")));
        std::fs::write(&certificate, made.chain.iter().map(|one| pem(one)).collect::<String>()).unwrap();
        std::fs::write(&key, pem_key(&made.key)).unwrap();
        format!("server_name {name}; ssl_certificate {}; ssl_certificate_key {}", certificate.display(), key.display())
    });
    let program = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/bin/nginx"]
        .into_iter()
        .find(|path| std::path::Path::new(path).exists());
    let program = program.expect("nginx is missing: run tests/run, which installs it");
    let plain = std::cell::Cell::new(0);
    let (_server, port) = listening(|port| {
        plain.set(free_port());
        let block = |name: &String| format!("server {{ listen 127.0.0.1:{port} ssl http2; {name}; return 200; }}\n");
        let text = format!(
            "daemon off; master_process off; pid {0}/pid; error_log {0}/error.log;\nevents {{}}\nhttp {{ access_log off; ssl_protocols TLSv1.2 TLSv1.3;\n\
             client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f; uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;\n\
             {1}server {{ listen 127.0.0.1:{2}; return 200; }}\n}}\n",
            folder.display(),
            names.iter().map(block).collect::<String>(),
            plain.get()
        );
        let file = folder.join("nginx.conf");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(program);
        command.arg("-e").arg(folder.join("error.log")).arg("-p").arg(folder).arg("-c").arg(&file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    })
    .await;
    let to = |host: &str, port: u16| {
        format!("host = \"{host}\"\nconnect_to = \"127.0.0.1:{port}\"\nca = \"{}\"\n", ca.ca().display())
    };
    for host in [HOST, "api.acme.example"] {
        let seen = look(&here(), &format!("{}alpn = 'h2'\nmin_tls = '1.3'", to(host, port))).await.unwrap();
        assert_eq!(seen.evidence["certificates"][0]["names"][0], host);
    }
    // The default server's certificate, as where a name was never added.
    let failure = wrong(&to("new.acme.example", port)).await;
    assert!(failure.message.contains("its names are default.example"), "{failure:?}");
    let failure = wrong(&to(HOST, plain.get())).await;
    assert!(failure.message.contains("plain HTTP is spoken on that port"), "{failure:?}");
}

/// Certificates are written by others: whatever they hold, reading them ends.
#[test]
fn no_certificate_is_a_surprise() {
    let ca = Authority::new();
    let made = ca.leaf(&server(&[HOST, "127.0.0.1"]));
    let good = made.chain[0].to_vec();
    assert_eq!(Certificate::read(&good).unwrap().names, [HOST, "127.0.0.1"]);
    let mut read = 0;
    for n in 0..20_000_usize {
        let mut bytes = good.clone();
        for _ in 0..=n % 3 {
            let at = fastrand::usize(..bytes.len());
            bytes[at] = fastrand::u8(..);
        }
        bytes.truncate(if n % 7 == 0 { fastrand::usize(..bytes.len()) } else { bytes.len() });
        read += usize::from(Certificate::read(&bytes).is_ok());
    }
    assert!(read > 100 && read < 19_000, "{read}");
    // Lengths that would run over.
    for bytes in
        [&b"\x30\x88\xff\xff\xff\xff\xff\xff\xff\xff"[..], b"\x30\x84\x7f\xff\xff\xff\x30", b"", b"\x30\x80\x00\x00"]
    {
        assert!(Certificate::read(bytes).is_err());
    }
}

#[tokio::test]
async fn what_cannot_be_looked_at() {
    let services = here();
    for (text, said) in [
        (format!("host = '{HOST}'\nconnect_to = '127.0.0.1'\nca = '/gonogo/none.pem'"), "cannot be read"),
        (format!("host = '{HOST}'\nconnect_to = '127.0.0.1'\nca = '/dev/null'"), "there is no certificate in it"),
    ] {
        let failure = look(&services, &text).await.unwrap_err();
        assert_eq!(failure.class, Class::Misconfigured);
        assert!(failure.message.contains(said), "{failure:?}");
    }
    // Without `ca`, the platform decides, and it does not know our authority.
    let ca = Authority::new();
    let served = shows(&ca.leaf(&server(&[HOST]))).await;
    let failure = wrong(&format!("host = '{HOST}'\nconnect_to = '{}'", served.address)).await;
    assert!(failure.message.contains("is unknown"), "{failure:?}");
    let failure = wrong("host = 'gonogo.invalid'\ntimeout = '5s'").await;
    assert!(failure.message.contains("resolve"), "{failure:?}");
}

#[test]
fn bad_parameters() {
    let services = here();
    for (text, marked, message) in [
        ("", "", "needs `host`"),
        ("host = 'https://x/y'", "'https://x/y'", "`host` cannot be `https://x/y`"),
        ("host = 'x:443'", "'x:443'", "`host` cannot be"),
        ("host = 'ü.example'", "'ü.example'", "`host` cannot be"),
        ("host = '*.x'", "'*.x'", "`host` cannot be"),
        ("host = ''", "''", "`host` cannot be"),
        ("host = 'x'\nport = 0", "0", "`port` must be 1 to 65535"),
        ("host = 'x'\nport = 65536", "65536", "`port` must be 1 to 65535"),
        ("host = 'x'\nconnect_to = ['127.0.0.1', 'y:0']", "'y:0'", "`connect_to` cannot be `y:0`"),
        ("host = 'x'\nconnect_to = 'a b'", "'a b'", "`connect_to` cannot be `a b`"),
        ("host = 'x'\nconnect_to = []", "[]", "`connect_to` names nothing"),
        ("host = 'x'\nnames = ['ok', 'a..b']", "'a..b'", "`names` cannot be `a..b`"),
        ("host = 'x'\nnames = ['*.ok', 'a.*']", "'a.*'", "`names` cannot be `a.*`"),
        ("host = 'x'\nmin_days = 20000", "20000", "`min_days` must be at most"),
        ("host = 'x'\nmin_days = -1", "-1", "a whole number"),
        ("host = 'x'\nfamily = 'ipv5'", "'ipv5'", "`family` must be one of"),
        ("host = 'x'\nmin_tls = '1.1'", "'1.1'", "`min_tls` must be one of"),
        ("host = 'x'\nissuer = ''", "''", "`issuer` must not be empty"),
        ("host = 'x'\nca = '${secret.x}'", "'${secret.x}'", "must not be a secret"),
        ("host = 'x'\ntimeout = '0s'", "'0s'", "`timeout` must be longer"),
        ("host = 'x'\nallow_untrusted = true", "allow_untrusted", "does not know"),
    ] {
        points_at(KIND, text, &services, marked, message);
    }
    let line =
        check(KIND, "host = 'x'\nconnect_to = ['127.0.0.1', 'y:8443', '[::1]:1']\nnames = ['z']", &services).looks();
    assert_eq!(
        line,
        "TLS handshake at 127.0.0.1:443, y:8443, [::1]:1 expects a certificate for x and z, 1 days or more"
    );
}

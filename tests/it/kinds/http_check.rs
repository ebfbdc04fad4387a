//! `http.check`, against servers that hang, drip, reset, redirect and overflow.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use gonogo::{
    base::{Class, Redactor},
    runbook::{DnsEnv, HttpEnv, SecretRef, SecretSource},
    services::Services,
};

use super::{
    contract::{attempt, attempt_of, check, check_changes_nothing, env, points_at, services, services_with},
    fake_dns::{FakeDns, Say as DnsSay},
    fake_http::{FakeHttp, Say, ok},
};

async fn looks(services: &Arc<Services>, params: &str) -> Result<String, String> {
    let seen = check("http.check", params, services).check(&attempt().cx).await;
    seen.map(|seen| seen.line).map_err(|failure| {
        assert_eq!(failure.class, Class::NotYet, "{failure:?}");
        [vec![failure.message], failure.causes].concat().join("\n")
    })
}

#[tokio::test]
async fn a_body_that_goes_on_is_not_said_to_end() {
    let server = FakeHttp::start(|_| ok(vec![b'x'; 9 << 20])).await;
    let services = services(env());
    for (text, evidence) in [("", "/whole"), ("steps = [{ url = \"/\" }, { url = \"/\" }]", "/requests/1/whole")] {
        let text = format!("url = \"{}/\"\n{text}", server.url());
        let seen = check("http.check", &text, &services).check(&attempt().cx).await.unwrap();
        assert!(seen.line.contains("more than 8388608 bytes (not read further)"), "{}", seen.line);
        assert_eq!(seen.evidence.pointer(evidence), Some(&false.into()), "{}", seen.evidence);
    }
}

/// What is cut off might be what must not be there.
#[tokio::test]
async fn a_body_that_was_cut_proves_nothing() {
    let server = FakeHttp::start(|_| ok([vec![b'a'; 9 << 20], b"ERROR".to_vec()].concat())).await;
    let services = services(env());
    for claim in ["matches = \"^a+$\"", "not_contains = \"ERROR\""] {
        let said = looks(&services, &format!("url = \"{}/\"\n{claim}", server.url())).await.unwrap_err();
        assert!(said.contains("too long to tell"), "{said}");
    }
}

/// A stream of HTTP/2 that is reset, though nobody is to blame, was not sent to its end.
#[tokio::test]
async fn a_stream_that_was_reset_is_no_answer() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        for whole in [true, false] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0_u8; 4096];
            assert!(stream.read(&mut asked).await.unwrap() > 0);
            let frame = |kind: u8, flags: u8, id: u8, load: &[u8]| {
                let long = u8::try_from(load.len()).unwrap();
                [&[0, 0, long, kind, flags, 0, 0, 0, id], load].concat()
            };
            // SETTINGS; HEADERS with `:status 200`; DATA, ended or not; RST_STREAM with NO_ERROR.
            let mut bytes =
                [frame(4, 0, 0, &[]), frame(1, 4, 1, &[0x88]), frame(0, u8::from(whole), 1, b"hello")].concat();
            bytes.extend(frame(3, 0, 1, &[0; 4]));
            stream.write_all(&bytes).await.unwrap();
            while stream.read(&mut asked).await.is_ok_and(|read| read > 0) {}
        }
    });
    let services = services(env());
    let params = format!("url = \"http://{address}/\"\nhttp = \"2\"");
    looks(&services, &params).await.unwrap();
    let said = looks(&services, &params).await.unwrap_err();
    assert!(said.contains("reset before the answer was whole"), "{said}");
    serving.await.unwrap();
}

/// `*` is any value, but none that the browser throws away at once.
#[tokio::test]
async fn a_cookie_that_is_taken_away_is_not_set() {
    let server = FakeHttp::start(|asked| {
        let cookie = match asked.path.as_str() {
            "/age" => "session=; Max-Age=0",
            "/past" => "session=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            _ => "session=x; Max-Age=60",
        };
        Say::Answer(200, vec![("set-cookie", cookie.into())], Vec::new())
    })
    .await;
    let services = services(env());
    let asks = async |path: &str, value: &str| {
        looks(&services, &format!("url = \"{}{path}\"\ncookie = {{ session = \"{value}\" }}", server.url())).await
    };
    asks("/", "*").await.unwrap();
    asks("/age", "").await.unwrap();
    for path in ["/age", "/past"] {
        let said = asks(path, "*").await.unwrap_err();
        assert!(said.contains("cookie session is taken away"), "{said}");
    }
}

#[tokio::test]
async fn many_headers_are_read_and_too_many_are_told() {
    let server = FakeHttp::start(|asked| {
        let many = if asked.path == "/many" { 150 } else { 400 };
        Say::Answer(200, vec![("x-one-of-many", "y".into()); many], b"ok".to_vec())
    })
    .await;
    let services = services(env());
    looks(&services, &format!("url = \"{}/many\"", server.url())).await.unwrap();
    let said = looks(&services, &format!("url = \"{}/more\"", server.url())).await.unwrap_err();
    assert!(said.contains("more than 256 headers"), "{said}");
}

#[tokio::test]
async fn everything_an_answer_can_be() {
    let body = r#"{"status": {"db": [{"name": "ok"}]}, "workers": 4, "ready": true}"#;
    let server = FakeHttp::start(move |asked| match asked.path.as_str() {
        "/teapot" => Say::Answer(418, Vec::new(), b"short and stout\n".to_vec()),
        _ => Say::Answer(200, vec![("x-served-by", "aws".into())], body.into()),
    })
    .await;
    let services = services(env());
    let url = server.url();
    let line = looks(&services, &format!("url = \"{url}/\"")).await.unwrap();
    assert!(line.starts_with(&format!("GET {url}/: 200, {} bytes in ", body.len())), "{line}");
    assert!(line.ends_with(&format!(" from {}", server.address)), "{line}");
    for good in [
        "status = 200",
        "status = [204, 200]",
        "status = \"2xx\"",
        "contains = \"workers\"",
        "contains = [\"workers\", \"ready\"]",
        "matches = '\"workers\": \\d+'",
        "header = { X-Served-By = \"aws\" }",
        "header = { x-served-by = \"*\" }",
        "json = { \"status.db[0].name\" = \"ok\", \"/workers\" = 4, workers = 4.0, ready = true }",
        "max_latency = \"5s\"",
        "method = \"head\"",
    ] {
        looks(&services, &format!("url = \"{url}/\"\n{good}")).await.unwrap();
    }
    for (bad, said) in [
        ("status = 404", "status 200, expected 404"),
        ("status = [\"5xx\", 301]", "status 200, expected 5xx or 301"),
        ("contains = \"wörkers\"", "does not contain \"wörkers\""),
        ("matches = \"^nope\"", "does not match"),
        ("header = { x-served-by = \"heroku\" }", "header x-served-by is aws, expected heroku"),
        ("header = { x-none = \"*\" }", "header x-none is none"),
        ("json = { \"status.db[1].name\" = \"ok\" }", "status.db[1].name is missing, expected \"ok\""),
        ("json = { ready = \"true\" }", "ready is true, expected \"true\""),
        ("max_latency = \"0ms\"", "expected at most 0 ms"),
    ] {
        let answer = looks(&services, &format!("url = \"{url}/\"\n{bad}")).await.unwrap_err();
        assert!(answer.contains(said), "{bad}: {answer}");
        assert!(answer.contains(&format!("answered by {}", server.address)), "{answer}");
    }
    let answer = looks(&services, &format!("url = \"{url}/teapot\"")).await.unwrap_err();
    assert!(answer.contains("status 418, expected 2xx") && answer.contains("body: short and stout"), "{answer}");
}

/// A site that does not answer is "not yet": the step goes on polling.
#[tokio::test]
async fn broken_servers() {
    let server = FakeHttp::start(|asked| match asked.path.as_str() {
        "/hang" => Say::Hang,
        "/reset" => Say::Reset,
        "/drip" => Say::Drip,
        _ => ok(vec![b'x'; 9 << 20]),
    })
    .await;
    let services = services(env());
    let url = server.url();
    for (path, said) in [("hang", "within 0.4 s"), ("drip", "within 0.4 s"), ("reset", "broke")] {
        let started = Instant::now();
        let answer = looks(&services, &format!("url = \"{url}/{path}\"\ntimeout = \"400ms\"")).await.unwrap_err();
        assert!(answer.contains(said), "{answer}");
        assert!(started.elapsed().as_secs() < 8, "{path}");
    }
    let line = looks(&services, &format!("url = \"{url}/huge\"")).await.unwrap();
    assert!(line.contains(&format!("{} bytes", 8 << 20)), "{line}");
    // A port that nobody listens on, told at once.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let answer = looks(&services, &format!("url = \"http://{closed}/\"")).await.unwrap_err();
    assert!(answer.contains("connection refused"), "{answer}");
    // The attempt's end ends it too.
    let hang = check("http.check", &format!("url = \"{url}/hang\"\ntimeout = \"1h\""), &services);
    let failure = hang.check(&attempt_of(Duration::from_millis(300), Default::default()).cx).await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet);
}

#[tokio::test]
async fn redirects_only_where_asked_and_without_secrets() {
    let other = FakeHttp::start(|_| ok("there")).await;
    let there = other.url();
    let server = FakeHttp::start(move |asked| match asked.path.as_str() {
        "/away" => Say::Answer(302, vec![("location", format!("{there}/x"))], Vec::new()),
        "/loop" => Say::Answer(307, vec![("location", "/loop".into())], Vec::new()),
        "/file" => Say::Answer(301, vec![("location", "file:///etc/passwd".into())], Vec::new()),
        _ => ok("here"),
    })
    .await;
    let secrets = [SecretRef {
        name: "key".into(),
        span: 0..0,
        source: SecretSource::Command(vec!["printf".into(), "canary-value".into()]),
    }];
    let services = services_with(env(), &secrets, Arc::new(Redactor::default()));
    let url = server.url();
    let answer = looks(&services, &format!("url = \"{url}/away\"")).await.unwrap_err();
    assert!(answer.contains("status 302 to http"), "{answer}");
    assert_eq!(other.count(), 0);
    let headers = "headers = { X-Key = \"${secret.key}\", Authorization = \"Bearer plain\", X-Plain = \"1\" }";
    let line = looks(&services, &format!("url = \"{url}/away\"\nfollow = true\n{headers}")).await.unwrap();
    assert!(line.contains("1 redirects to"), "{line}");
    let (first, second) = (server.asked.lock().unwrap()[1].clone(), other.asked.lock().unwrap()[0].clone());
    assert_eq!(first.header("x-key"), Some("canary-value"));
    assert_eq!(second.header("x-plain"), Some("1"));
    assert_eq!((second.header("x-key"), second.header("authorization")), (None, None));
    let answer = looks(&services, &format!("url = \"{url}/loop\"\nfollow = true")).await;
    assert!(answer.is_err_and(|a| a.contains("redirects")), "a loop ends");
    let failure = check("http.check", &format!("url = \"{url}/file\"\nfollow = true"), &services);
    let failure = failure.check(&attempt().cx).await.unwrap_err();
    assert_eq!(failure.class, Class::Refused);
}

#[tokio::test]
async fn aims_at_an_address_with_the_right_host() {
    let server = FakeHttp::start(|_| ok("new side")).await;
    let services = services(env());
    for url in ["http://shop.acme.example/", "http://shop.acme.example:8080/", "http://203.0.113.9/"] {
        let params = format!("url = \"{url}\"\nconnect_to = \"{}\"\ncontains = \"new side\"", server.address);
        looks(&services, &params).await.unwrap();
    }
    let asked = server.asked.lock().unwrap();
    let hosts = asked.iter().map(|asked| asked.header("host").unwrap()).collect::<Vec<_>>();
    assert_eq!(hosts, ["shop.acme.example", "shop.acme.example:8080", "203.0.113.9"]);
}

#[tokio::test]
async fn a_burst_counts_what_failed() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (inside, peak) = (now.clone(), most.clone());
    let server = FakeHttp::start(move |asked| {
        peak.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        inside.fetch_sub(1, Ordering::SeqCst);
        if asked.path == "/flaky" && asked.count % 10 == 3 { Say::Answer(500, Vec::new(), Vec::new()) } else { ok("x") }
    })
    .await;
    let services = services(env());
    let url = server.url();
    let line = looks(&services, &format!("url = \"{url}/\"\ntimes = 20\nat_once = 5")).await.unwrap();
    assert!(line.starts_with(&format!("20 × GET {url}/ as expected, ")), "{line}");
    let answer = looks(&services, &format!("url = \"{url}/flaky\"\ntimes = 20\nat_once = 5")).await.unwrap_err();
    assert!(answer.contains("2 of 20 requests were not as expected: status 500"), "{answer}");
    assert_eq!(server.count(), 40);
}

/// In an environment that resolves by its own DNS only, nothing leaves loopback, whatever that DNS says.
#[tokio::test]
async fn names_resolve_only_by_dns_and_stay_inside() {
    let server = FakeHttp::start(|_| ok("inside")).await;
    let resolver = FakeDns::start(|asked| {
        DnsSay::Answer(asked.in_zone(&[
            "shop.acme.example 60 CNAME web.acme.example",
            "web.acme.example 60 A 127.0.0.1",
            "out.acme.example 60 A 203.0.113.9",
        ]))
    })
    .await;
    let mut env = env();
    env.dns = DnsEnv { resolvers: vec![resolver.address], ..DnsEnv::default() };
    env.http = HttpEnv { resolve_only_by_dns: true, default_port: Some(server.address.port()), ..HttpEnv::default() };
    let services = services(env);
    looks(&services, "url = \"http://shop.acme.example/\"\ncontains = \"inside\"").await.unwrap();
    assert_eq!(server.asked.lock().unwrap()[0].header("host"), Some("shop.acme.example"));
    looks(&services, "url = \"http://127.0.0.1/\"\ncontains = \"inside\"").await.unwrap();
    let answer = looks(&services, "url = \"http://none.acme.example/\"").await.unwrap_err();
    assert!(answer.contains("does not resolve") && answer.contains("NXDOMAIN"), "{answer}");
    // `localhost` is asked there too, not the system.
    assert!(looks(&services, "url = \"http://localhost/\"").await.unwrap_err().contains("does not resolve"));
    for params in [
        "url = \"http://out.acme.example/\"",
        "url = \"http://203.0.113.9/\"",
        "url = \"http://shop.acme.example/\"\nconnect_to = \"203.0.113.9\"",
    ] {
        let failure = check("http.check", params, &services).check(&attempt().cx).await.unwrap_err();
        assert_eq!(failure.class, Class::Refused, "{params}: {failure:?}");
    }
}

#[tokio::test]
async fn secrets_go_out_and_stay_out_of_sight() {
    let server =
        FakeHttp::start(|asked| Say::Answer(401, Vec::new(), format!("bad key {}", asked.body).into_bytes())).await;
    let source = SecretSource::Command(vec!["printf".into(), "hunter2hunter2".into()]);
    let secrets = [SecretRef { name: "key".into(), span: 0..0, source }];
    let redactor = Arc::new(Redactor::default());
    let services = services_with(env(), &secrets, redactor.clone());
    let params = format!(
        "url = \"{}\"\nmethod = \"POST\"\nbody = \"${{secret.key}}\"\nheaders = {{ authorization = \"${{secret.key}}\" }}",
        server.url()
    );
    let post = check("http.check", &params, &services);
    assert!(!post.looks().contains("hunter2"));
    let failure = post.check(&attempt().cx).await.unwrap_err();
    let asked = server.asked.lock().unwrap()[0].clone();
    assert_eq!((asked.body.as_str(), asked.header("authorization")), ("hunter2hunter2", Some("hunter2hunter2")));
    // The server echoes it: the redactor in front of every sink takes it out.
    let told = redactor.redact(&format!("{failure:?}")).into_owned();
    assert!(told.contains("bad key ***") && !told.contains("hunter2"), "{told}");
}

#[tokio::test]
async fn bad_parameters_and_no_changes() {
    let server = FakeHttp::start(|_| ok("x")).await;
    let services = services(env());
    let get = check("http.check", &format!("url = \"{}\"", server.url()), &services);
    check_changes_nothing(get.as_ref(), async || server.changes()).await;
    assert_eq!(server.count(), 2);
    let url = "url = \"http://a.b\"\n";
    for (text, marked, message) in [
        ("url = \"shop\"".to_owned(), "\"shop\"", "no web address"),
        ("url = \"ftp://a.b\"".into(), "\"ftp://a.b\"", "must begin with http"),
        ("url = \"http://u:p@a.b\"".into(), "\"http://u:p@a.b\"", "must not carry a user"),
        (format!("{url}method = \"GET IT\""), "\"GET IT\"", "no request method"),
        (format!("{url}status = 99"), "99", "`status`"),
        (format!("{url}status = [200, \"6xx\"]"), "\"6xx\"", "`status`"),
        (format!("{url}matches = \"(\""), "\"(\"", "no regular expression"),
        (format!("{url}max_redirects = 3"), "3", "needs `follow = true`"),
        (format!("{url}body = \"a\"\nform = {{ a = \"b\" }}"), "{ a = \"b\" }", "two bodies"),
        (format!("{url}ip = \"v5\""), "\"v5\"", "`ip` must be one of"),
        (format!("{url}ip = \"v6\"\nconnect_to = \"127.0.0.1\""), "\"127.0.0.1\"", "not of the family"),
        (format!("{url}latency = {{ p51 = \"1s\" }}"), "p51", "`latency`"),
        (format!("{url}user = \"mira\""), "\"mira\"", "go together"),
        (format!("{url}user = \"mira\"\npassword = \"{{{{unique}}}}\""), "\"{{unique}}\"", "takes no captured value"),
        (format!("{url}method = \"HEAD\"\nsize = 0"), "\"HEAD\"", "has no body"),
        (format!("{url}method = \"HEAD\"\nnot_contains = \"x\""), "\"HEAD\"", "has no body"),
        (format!("{url}client_key = \"k\""), "\"k\"", "needs `client_cert`"),
        (format!("{url}contains = \"{{{{id}}}}\""), "\"{{id}}\"", "nothing fills in"),
        (format!("{url}json = {{ \"$.[\" = 1 }}"), "\"$.[\"", "no JSON path"),
        (format!("{url}json = {{ a = {{ equal = 1 }} }}"), "equal", "says nothing"),
        (format!("{url}size = {{ min = 3, max = 1 }}"), "{ min = 3, max = 1 }", "`size`"),
        (format!("{url}connect_to = \"new side\""), "\"new side\"", "an address"),
        (format!("{url}times = 0"), "0", "`times`"),
        (format!("{url}json = [1]"), "[1]", "must be a table"),
        (format!("{url}timeout = 3"), "3", "a duration"),
        (format!("{url}contain = \"x\""), "contain", "does not know"),
        ("url = \"https://203.0.113.9\"\nconnect_to = \"203.0.113.10\"".into(), "\"203.0.113.10\"", "needs a name"),
    ] {
        points_at("http.check", &text, &services, marked, message);
    }
}

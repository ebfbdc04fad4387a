//! `http.check` against a real nginx and an upstream behind it: scenarios, captured values, cookies, uploads, redirects,
//! what a body can be.

use std::sync::Arc;

use gonogo::{
    base::{Class, Redactor},
    runbook::{SecretRef, SecretSource},
    services::Services,
};

use super::{
    contract::{attempt, check, check_changes_nothing, env, points_at, services, services_with},
    fake_http::{FakeHttp, Say, ok},
};
use crate::nginx::Nginx;

async fn looks(services: &Arc<Services>, params: &str) -> Result<String, String> {
    let seen = check("http.check", params, services).check(&attempt().cx).await;
    seen.map(|seen| seen.line).map_err(|failure| {
        assert_eq!(failure.class, Class::NotYet, "{failure:?}");
        [vec![failure.message], failure.causes].concat().join("\n")
    })
}

/// A shop behind nginx: it keeps orders, and shows them only from the third look on.
async fn shop() -> (FakeHttp, Nginx) {
    let upstream = FakeHttp::start(|asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("POST", "/orders") => {
            let headers = vec![("location", "/orders/a%2Fb".to_owned()), ("x-token", "tok-1234567".to_owned())];
            let id = if asked.body.contains("number") { "41" } else { "\"a/b \\\"c\"" };
            Say::Answer(201, headers, format!("{{\"id\": {id}, \"echo\": {}}}", asked.body).into_bytes())
        }
        ("GET", "/orders/a%2Fb%20%22c") if asked.count < 4 => Say::Answer(404, Vec::new(), b"not yet".to_vec()),
        ("GET", "/orders/a%2Fb%20%22c") => ok("{\"id\": \"a/b \\\"c\", \"state\": \"open\"}"),
        _ => Say::Answer(200, Vec::new(), format!("{} {}\n{}", asked.method, asked.path, asked.body).into_bytes()),
    })
    .await;
    let nginx = Nginx::start(&format!(
        "server {{ listen 127.0.0.1:{{0}}; location / {{ proxy_pass http://{}; proxy_pass_request_headers on; }} }}",
        upstream.address
    ));
    (upstream, nginx)
}

#[tokio::test]
async fn writes_and_reads_back() {
    let (upstream, nginx) = shop().await;
    let services = services(env());
    let params = format!(
        r#"
        url = "{}"
        [[steps]]
        name = "create"
        method = "POST"
        url = "/orders"
        body_json = {{ sku = "x-1", ref = "{{{{unique}}}}" }}
        status = 201
        header = {{ location = "*" }}
        json = {{ "$.echo.ref" = "{{{{unique}}}}", "$.echo.sku" = {{ type = "string", size = 3 }} }}
        capture = {{ id = "$.id", token = {{ header = "x-token", secret = true }} }}
        [[steps]]
        name = "read back"
        url = "/orders/{{{{id}}}}"
        headers = {{ X-Token = "{{{{token}}}}" }}
        json = {{ "$.id" = "{{{{id}}}}", state = "open" }}
        within = "20s"
        every = "20ms"
        "#,
        nginx.url(0)
    );
    let line = looks(&services, &params).await.unwrap();
    assert!(line.starts_with(&format!("scenario of 2 requests at {}: create 201 in ", nginx.url(0))), "{line}");
    assert!(line.contains(", read back 200 in "), "{line}");
    let asked = upstream.asked.lock().unwrap();
    assert_eq!(asked.iter().filter(|asked| asked.method == "POST").count(), 1, "a write is sent once");
    assert_eq!(asked.len(), 5, "three looks were too early");
    assert!(asked[1..].iter().all(|asked| asked.path == "/orders/a%2Fb%20%22c"), "{asked:?}");
    assert_eq!(asked[1].header("x-token"), Some("tok-1234567"));
    assert!(asked[0].header("content-type") == Some("application/json") && asked[0].body.contains("\"sku\":\"x-1\""));
}

/// What is read back too late, or is another one, is not green, and says after which request.
#[tokio::test]
async fn a_write_that_does_not_come_back() {
    let (_upstream, nginx) = shop().await;
    let services = services(env());
    let scenario = |second: &str| {
        format!(
            "url = \"{}\"\nsteps = [\n{{ method = \"POST\", url = \"/orders\", body = \"{{}}\", status = 201, capture = {{ id = \"$.id\", \
             loc = {{ header = \"location\" }} }} }},\n{second}\n]",
            nginx.url(0)
        )
    };
    let late =
        scenario("{ name = \"back\", url = \"/none/{{id}}\", status = 204, within = \"100ms\", every = \"20ms\" }");
    let said = looks(&services, &late).await.unwrap_err();
    assert!(said.contains("request 2 `back`: GET ") && said.contains("/none/{{id}}: after "), "{said}");
    assert!(said.contains("tries: status 200, expected 204"), "{said}");
    assert!(said.contains(r#"id = "a/b \"c""#), "what was captured explains what was asked: {said}");
    // A captured value in JSON stays data; a whole address from an answer is followed.
    let echoed = scenario(
        r#"{ method = "POST", url = "/echo", body = '{"again": "{{id}}", "bare": {{id}}}', contains = '{"again": "a/b \"c", "bare": "a/b \"c"}' }, { url = "{{loc}}", contains = "GET /orders/a%2Fb" }"#,
    );
    looks(&services, &echoed).await.unwrap();
    for (capture, said) in [
        ("{ x = \"$.none\" }", "nothing is at $.none"),
        ("{ x = \"$.*\" }", "2 values are at $.*"),
        ("{ x = { header = \"x-none\" } }", "there is no header x-none"),
        ("{ x = { cookie = \"sid\" } }", "cookie sid is not set"),
        ("{ x = { matches = \"zz(z)\" } }", "does not match zz(z)"),
    ] {
        let params = format!("url = \"{}/orders\"\nbody = \"{{}}\"\ncapture = {capture}", nginx.url(0));
        let params = format!("steps = [{{ {} }}]", params.replace('\n', ", "));
        let failure = looks(&services, &params).await.unwrap_err();
        assert!(failure.contains("`x` cannot be captured") && failure.contains(said), "{failure}");
    }
}

/// A server's value with a line end does not become a header of ours.
/// `connect_to` is where the check's own host is; another server that a request names is asked itself.
#[tokio::test]
async fn connect_to_is_for_one_host() {
    let (one, other) = (FakeHttp::start(|_| ok("one")).await, FakeHttp::start(|_| ok("other")).await);
    let services = services(env());
    let params = format!(
        "url = \"http://shop.acme.example\"\nconnect_to = \"{}\"\nsteps = [{{ url = \"/a\", contains = \"one\" }}, \
         {{ url = \"http://localhost:{}/b\", contains = \"other\" }}]",
        one.address,
        other.address.port()
    );
    looks(&services, &params).await.unwrap();
    assert_eq!((one.count(), other.count()), (1, 1));
}

#[tokio::test]
async fn a_captured_value_adds_no_header() {
    let server = FakeHttp::start(|_| ok("{\"t\": \"x\\r\\nX-Evil: 1\", \"up\": \"..\"}")).await;
    let services = services(env());
    let scenario = |second: &str| {
        format!(
            "url = \"{}\"\nsteps = [{{ url = \"/\", capture = {{ t = \"$.t\", up = \"$.up\" }} }}, {second}]",
            server.url()
        )
    };
    let said = looks(&services, &scenario("{ url = \"/b\", headers = { X-T = \"{{t}}\" } }")).await.unwrap_err();
    assert!(said.contains("the captured value `t` cannot be used") && said.contains("line end"), "{said}");
    let said = looks(&services, &scenario("{ url = \"/b/{{up}}/c\" }")).await.unwrap_err();
    assert!(said.contains("the captured value `up` cannot be used"), "{said}");
    assert_eq!(server.count(), 2, "nothing else was sent");
}

#[tokio::test]
async fn cookies_travel_as_they_should() {
    let nginx = Nginx::start(
        "server { listen 127.0.0.1:{0};
            location = /login { add_header Set-Cookie \"sid=s3cret-session; Path=/; HttpOnly\";
                add_header Set-Cookie \"deep=1; Path=/deep\"; add_header Set-Cookie \"tls=1; Secure\";
                add_header Set-Cookie \"other=1; Domain=example.net\"; add_header Set-Cookie \"gone=1; Max-Age=0\";
                return 303 /home; }
            location / { return 200 \"cookies [$http_cookie]\"; }
            location = /logout { add_header Set-Cookie \"sid=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT\"; return 204; }
        }",
    );
    let services = services(env());
    let params = format!(
        r#"
        url = "http://shop.acme.example"
        connect_to = "{}"
        steps = [
          {{ method = "POST", url = "/login", form = {{ user = "mira" }}, follow = true, contains = "cookies [sid=s3cret-session]" }},
          {{ method = "POST", url = "/login", form = {{ user = "mira" }}, status = 303, cookie = {{ sid = "s3cret-session", deep = "*" }},
             capture = {{ sid = {{ cookie = "sid", secret = true }} }} }},
          {{ url = "/deep/er", contains = ["sid=s3cret-session", "deep=1"], not_contains = ["tls=", "other=", "gone="] }},
          {{ url = "/", headers = {{ Cookie = "own=1" }}, contains = "[own=1; sid=s3cret-session]" }},
          {{ url = "/logout", status = 204 }},
          {{ url = "/", contains = "cookies []" }},
        ]
        "#,
        nginx.address(0)
    );
    looks(&services, &params).await.unwrap();
    // The next visit starts without any.
    let twice =
        format!("{}times = 2\n", params.replace("steps = [", "steps = [ { url = \"/\", contains = \"cookies []\" },"));
    looks(&services, &twice).await.unwrap();
    // What a cookie holds is not told.
    let params = format!("url = \"{}/login\"\nstatus = 303\ncookie = {{ sid = \"nope\" }}", nginx.url(0));
    let said = looks(&services, &params).await.unwrap_err();
    assert!(said.contains("cookie sid has another value") && !said.contains("s3cret-session"), "{said}");
    let params = format!("url = \"{}/login\"\nstatus = 303\nheader = {{ set-cookie = \"nope\" }}", nginx.url(0));
    let said = looks(&services, &params).await.unwrap_err();
    assert!(said.contains("header set-cookie is another one") && !said.contains("s3cret-session"), "{said}");
}

#[tokio::test]
async fn uploads_forms_and_who_we_are() {
    let (upstream, shop) = shop().await;
    let nginx = Nginx::start(
        "server { listen 127.0.0.1:{0};
            location /put/ { dav_methods PUT DELETE; create_full_put_path on; }
            location /private { auth_basic \"private\"; auth_basic_user_file DIR/users; add_header X-User $remote_user; try_files /page =404; }
            location /token { if ($http_authorization != \"Bearer t0ken-t0ken\") { return 401; } return 200 \"in\"; }
        }",
    );
    std::fs::write(nginx.dir.path().join("users"), "mira:{PLAIN}hunter2-hunter2\n").unwrap();
    nginx.page("page", "in");
    let file = nginx.dir.path().join("photo \"1\".bin");
    std::fs::write(&file, b"\x00\xff\r\n--x").unwrap();
    let secret = |name: &str, value: &str| SecretRef {
        name: name.into(),
        span: 0..0,
        source: SecretSource::Command(vec!["printf".into(), value.into()]),
    };
    let secrets = [secret("password", "hunter2-hunter2"), secret("token", "t0ken-t0ken")];
    let redactor = Arc::new(Redactor::default());
    let services = services_with(env(), &secrets, redactor.clone());
    let url = nginx.url(0);
    let put = format!("url = \"{url}/put/a/b.bin\"\nmethod = \"PUT\"\nbody_file = '{}'\nstatus = 201", file.display());
    looks(&services, &put).await.unwrap();
    assert_eq!(std::fs::read(nginx.dir.path().join("www/put/a/b.bin")).unwrap(), b"\x00\xff\r\n--x");
    let form = "form = { \"a b\" = \"c&d=é\", pw = \"${secret.password}\" }";
    let sent = "a+b=c%26d%3D%C3%A9&pw=hunter2-hunter2";
    looks(&services, &format!("url = \"{}/form\"\n{form}\ncontains = \"{sent}\"", shop.url(0))).await.unwrap();
    let upload = format!("upload = [{{ name = \"photo\", file = '{}', type = \"image/png\" }}]", file.display());
    looks(&services, &format!("url = \"{}/upload\"\n{form}\n{upload}", shop.url(0))).await.unwrap();
    let asked = upstream.asked.lock().unwrap().last().unwrap().clone();
    let media = asked.header("content-type").unwrap().to_owned();
    assert!(media.starts_with("multipart/form-data; boundary=gonogo-"), "{media}");
    for part in ["name=\"a b\"\r\n\r\nc&d=é\r\n", "filename=\"photo %221%22.bin\"\r\ncontent-type: image/png\r\n\r\n"]
    {
        assert!(asked.body.contains(part), "{}", asked.body);
    }
    let who = "user = \"mira\"\npassword = \"${secret.password}\"\nheader = { x-user = \"mira\" }";
    looks(&services, &format!("url = \"{url}/private\"\n{who}")).await.unwrap();
    assert!(looks(&services, &format!("url = \"{url}/private\"")).await.unwrap_err().contains("status 401"));
    looks(&services, &format!("url = \"{url}/token\"\nbearer = \"${{secret.token}}\"\ncontains = \"in\""))
        .await
        .unwrap();
    // "mira:hunter2-hunter2", as it stands in the header.
    assert!(!redactor.redact("bWlyYTpodW50ZXIyLWh1bnRlcjI=").contains("bWly"), "the encoded password is masked");
    let missing = check("http.check", &format!("url = \"{url}/\"\nbody_file = \"/none/such\""), &services);
    assert_eq!(missing.check(&attempt().cx).await.unwrap_err().class, Class::Misconfigured);
}

#[tokio::test]
async fn redirects_by_the_rules() {
    let nginx = Nginx::start(
        "server { listen 127.0.0.1:{0};
            location = /a { return 301 /b; } location = /b { return 302 /c?d=1; } location = /c { return 200 \"$request_method [$http_x_key]\"; }
            location = /see { return 303 /c; } location = /again { return 307 /c; } location = /loop { return 302 /loop; }
            location = /away { return 302 http://127.0.0.1:{1}/c; }
        }
        server { listen 127.0.0.1:{1}; location / { return 200 \"away [$http_x_key] [$http_cookie]\"; } }",
    );
    let secrets = [SecretRef {
        name: "key".into(),
        span: 0..0,
        source: SecretSource::Command(vec!["printf".into(), "canary-value".into()]),
    }];
    let services = services_with(env(), &secrets, Arc::new(Redactor::default()));
    let url = nginx.url(0);
    let get = |rest: &str| format!("url = \"{url}{rest}");
    let line =
        looks(&services, &get(&format!("/a\"\nfollow = true\nredirects = [\"{url}/b\", \"{url}/c*\"]"))).await.unwrap();
    assert!(line.contains("2 redirects to"), "{line}");
    let said = looks(&services, &get(&format!("/a\"\nfollow = true\nredirects = [\"{url}/c*\"]"))).await.unwrap_err();
    assert!(said.contains(&format!("the redirects lead to {url}/b → {url}/c?d=1, expected {url}/c*")), "{said}");
    looks(&services, &get("/c\"\nredirects = []")).await.unwrap();
    let said = looks(&services, &get("/a\"\nfollow = true\nmax_redirects = 1")).await.unwrap_err();
    assert!(said.contains("more than 1 redirects"), "{said}");
    let said = looks(&services, &get("/loop\"\nfollow = true")).await.unwrap_err();
    assert!(said.contains("more than 10 redirects"), "{said}");
    looks(&services, &get("/see\"\nmethod = \"POST\"\nbody = \"x\"\nfollow = true\ncontains = \"GET []\""))
        .await
        .unwrap();
    let post = check("http.check", &get("/again\"\nmethod = \"POST\"\nbody = \"x\"\nfollow = true"), &services);
    let failure = post.check(&attempt().cx).await.unwrap_err();
    assert!(failure.class == Class::Refused && failure.message.contains("a second time"), "{failure:?}");
    let key = "headers = { X-Key = \"${secret.key}\" }";
    looks(&services, &get(&format!("/see\"\nfollow = true\n{key}\ncontains = \"[canary-value]\""))).await.unwrap();
    looks(&services, &get(&format!("/away\"\nfollow = true\n{key}\ncontains = \"away [] []\""))).await.unwrap();
}

#[tokio::test]
async fn what_a_body_can_be() {
    let nginx = Nginx::start(
        "server { listen 127.0.0.1:{0};
            location = /orders { default_type application/json; return 200 '{\"items\": [{\"id\": 1, \"s\": \"open\"}, {\"id\": 2, \"s\": \"shut\"}], \"n\": 2.0, \"name\": \"Zo\u{eb}\", \"none\": null}'; }
            location /pages/ { alias DIR/www/; gzip on; gzip_types *; gzip_min_length 1; }
        }",
    );
    nginx.page("latin1", b"caf\xe9 open");
    nginx.page("zeros", vec![b'0'; 300_000]);
    let services = services(env());
    let orders = format!("url = \"{}/orders\"", nginx.url(0));
    for good in [
        "\"$.items[*].id\" = { type = \"integer\", min = 1, max = 2 }",
        "\"$.items[?@.s == 'open'].id\" = 1",
        "\"$.items\" = { size = 2, type = \"array\", contains = { id = 1, s = \"open\" } }",
        "\"$.items[*]\" = { count = 2 }",
        "\"$.items[?@.s == 'lost']\" = { exists = false }",
        "\"$\" = { equals = { n = 2, none = \"x\", name = \"Zoë\", items = [{ s = \"open\", id = 1 }, { id = 2, s = \"shut\" }] } }",
        "name = { matches = \"^Zo.$\", size = 3, contains = \"oë\", not = \"Zoe\" }",
        "none = { type = \"null\", exists = true }",
        "items = [{ id = 1, s = \"open\" }, { id = 2, s = \"shut\" }]",
    ] {
        let said = looks(&services, &format!("{orders}\njson = {{ {good} }}")).await;
        // TOML has no null: the object that is compared as a whole differs there, and only there.
        if good.starts_with("\"$\"") {
            assert!(said.unwrap_err().contains("expected {"), "{good}");
        } else {
            said.unwrap_or_else(|said| panic!("{good}: {said}"));
        }
    }
    for (bad, said) in [
        ("json = { \"$.items[*].id\" = { max = 1 } }", "$.items[*].id is 2, expected at most 1"),
        ("json = { \"$.items[*]\" = { count = 3 } }", "is there 2 times, expected 3"),
        ("json = { none = { exists = false } }", "none is there: null"),
        ("json = { lost = { exists = true } }", "lost is missing"),
        ("json = { n = { type = \"integer\" } }", "n is 2.0, expected a value of type integer"),
        ("json = { items = { size = 1 } }", "expected a size of 1"),
        ("type = \"text/html\"", "the type is application/json, expected text/html"),
        ("size = 5", "bytes, expected 5 bytes"),
        ("size = { max = 10 }", "expected at most 10 bytes"),
        ("not_contains = \"shut\"", "the body contains \"shut\""),
    ] {
        let failure = looks(&services, &format!("{orders}\n{bad}")).await.unwrap_err();
        assert!(failure.contains(said), "{bad}: {failure}");
    }
    looks(&services, &format!("{orders}\ntype = \"application/json\"\nsize = {{ min = 10, max = 1000 }}"))
        .await
        .unwrap();
    let page = |name: &str, rest: &str| format!("url = \"{}/pages/{name}\"\n{rest}", nginx.url(0));
    looks(&services, &page("latin1", "contains = \" open\"\nmatches = \"open$\"")).await.unwrap();
    assert!(looks(&services, &page("latin1", "json = { a = 1 }")).await.unwrap_err().contains("not JSON"));
    // Asked for as it is, unless the author asks otherwise; then what is in it cannot be told.
    looks(&services, &page("zeros", "size = 300000\ncontains = \"0000\"")).await.unwrap();
    let gzip = "headers = { Accept-Encoding = \"gzip\" }\n";
    looks(
        &services,
        &page("zeros", &format!("{gzip}header = {{ content-encoding = \"gzip\" }}\nsize = {{ max = 10000 }}")),
    )
    .await
    .unwrap();
    let said = looks(&services, &page("zeros", &format!("{gzip}contains = \"0\""))).await.unwrap_err();
    assert!(said.contains("the body is encoded (gzip)"), "{said}");
}

#[tokio::test]
async fn scenarios_that_cannot_be_right() {
    let server = FakeHttp::start(|_| ok("x")).await;
    let services = services(env());
    for (text, marked, message) in [
        ("steps = []", "[]", "1 to 50 requests"),
        ("steps = [1]", "1", "a list of requests"),
        ("steps = [{ method = \"GET\" }]", "{ method = \"GET\" }", "needs `url`"),
        ("steps = [{ url = \"/a\" }]", "\"/a\"", "no web address"),
        (
            "url = \"http://a.b\"\nmethod = \"POST\"\nsteps = [{ url = \"/a\" }]",
            "\"POST\"",
            "belongs into one of `steps`",
        ),
        ("url = \"http://a.b\"\nsteps = [{ url = \"/{{id}}\" }]", "\"/{{id}}\"", "nothing fills in `{{id}}`"),
        (
            "url = \"http://a.b\"\nsteps = [{ url = \"/\", capture = { id = \"$.id\" } }, { url = \"http://{{id}}.b/\" }]",
            "\"http://{{id}}.b/\"",
            "may not choose the server",
        ),
        ("url = \"http://a.b\"\nsteps = [{ url = \"/\", capture = { \"a b\" = \"$.id\" } }]", "\"a b\"", "is no name"),
        ("url = \"http://a.b\"\nsteps = [{ url = \"/\", capture = { unique = \"$.id\" } }]", "unique", "there already"),
        (
            "url = \"http://a.b\"\nsteps = [{ url = \"/\", capture = { a = { body = \"x\" } } }]",
            "body",
            "where it is taken from",
        ),
        ("url = \"http://a.b\"\nsteps = [{ url = \"/\", body = \"x\", within = \"1s\" }]", "\"1s\"", "not sent again"),
        ("url = \"http://a.b\"\nsteps = [{ url = \"/\", expects = 200 }]", "expects", "does not know"),
    ] {
        points_at("http.check", text, &services, marked, message);
    }
    let scenario = check(
        "http.check",
        &format!("url = \"{}\"\nsteps = [{{ url = \"/\" }}, {{ url = \"/b\" }}]", server.url()),
        &services,
    );
    assert!(scenario.looks().contains("scenario of 2 requests"), "{}", scenario.looks());
    check_changes_nothing(scenario.as_ref(), async || server.changes()).await;
    assert_eq!(server.count(), 4);
}

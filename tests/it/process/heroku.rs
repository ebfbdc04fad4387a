//! Where the real program takes Heroku's token from: the environment, netrc, and what it says where there is none.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
};

use super::Home;

/// An API that answers everything with the app, and keeps what it was shown.
fn api() -> (u16, Arc<Mutex<Vec<String>>>) {
    api_that("200 OK", |_| r#"{"name":"acme-shop","maintenance":false}"#.to_owned())
}

/// One that answers everything with this status and what is made of the token.
fn api_that(status: &'static str, body: fn(&str) -> String) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let shown = Arc::new(Mutex::new(Vec::new()));
    let kept = shown.clone();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let kept = kept.clone();
            thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let mut last = String::new();
                while let Some(Ok(line)) = lines.next() {
                    if let Some(token) = line.strip_prefix("authorization: ") {
                        token.clone_into(&mut last);
                        kept.lock().unwrap().push(token.to_owned());
                    }
                    if line.is_empty() {
                        let body = body(&last);
                        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
                        stream.write_all((head + &body).as_bytes()).unwrap();
                    }
                }
            });
        }
    });
    (port, shown)
}

fn book(port: u16) -> String {
    format!(
        r#"format = 1
[runbook]
id = "token"
title = "Whose token"
lead = "mira"
[people]
mira = {{ name = "Mira Okafor", role = "cutover lead" }}
[env.staging]
kind = "rehearsal"
confirm = "acme-staging"
heroku = {{ app = "acme-shop", endpoint = "http://127.0.0.1:{port}" }}
[[step]]
id = "look"
title = "The page is off"
owner = "mira"
planned = "10s"
verify = [{{ kind = "heroku.state", maintenance = false }}]
"#
    )
}

/// The exit code, everything that was printed, and the token that was shown.
fn run(home: &Home, port: u16, shown: &Mutex<Vec<String>>) -> (i32, String, Option<String>) {
    shown.lock().unwrap().clear();
    let path = home.file("book.toml", &book(port)).display().to_string();
    let ended = home.run(["rehearse", &path, "--env", "staging", "--plain", "--auto-go"]);
    let tokens = shown.lock().unwrap().clone();
    assert!(tokens.windows(2).all(|two| two[0] == two[1]), "{tokens:?}");
    (ended.code, format!("{}{}", ended.out, ended.err), tokens.first().cloned())
}

#[test]
fn the_token_comes_from_the_environment_or_netrc() {
    let (port, shown) = api();
    let home = Home::new();
    let (code, said, token) = run(&home, port, &shown);
    assert_ne!(code, 0, "{said}");
    assert!(said.contains("no Heroku token") && said.contains("set HEROKU_API_KEY, run `heroku login`"), "{said}");
    assert_eq!(token, None, "nothing is asked without a token");

    // The CLI writes the port where the host has one; a default that stands before it does not win.
    let netrc = format!(
        "default password HRKU-default\nmachine 127.0.0.1:{port}\n  login a@b.c\n  password \"HRKU-netrc-1\"\n"
    );
    home.file(".netrc", &netrc);
    let (code, said, token) = run(&home, port, &shown);
    assert_eq!((code, token.as_deref()), (0, Some("Bearer HRKU-netrc-1")), "{said}");
    assert!(!said.contains("HRKU"), "{said}");

    let other = home.file("other", "machine 127.0.0.1 login a password HRKU-other-1\n").display().to_string();
    let home = home.with("NETRC", &other);
    let (code, said, token) = run(&home, port, &shown);
    assert_eq!((code, token.as_deref()), (0, Some("Bearer HRKU-other-1")), "{said}");

    let home = home.with("HEROKU_API_KEY", " HRKU-environment-1 ");
    let (code, said, token) = run(&home, port, &shown);
    assert_eq!((code, token.as_deref()), (0, Some("Bearer HRKU-environment-1")), "{said}");
    assert!(!said.contains("HRKU"), "{said}");
}

/// What is asked before the start is told without the token, too, whoever repeats it.
#[test]
fn a_refusal_before_the_start_shows_no_token() {
    let (port, shown) = api_that("401 Unauthorized", |token| {
        format!(r#"{{"id":"unauthorized","message":"Invalid credentials: {token}"}}"#)
    });
    let home = Home::new().with("HEROKU_API_KEY", "HRKU-environment-1");
    let (code, said, token) = run(&home, port, &shown);
    assert_eq!((code, token.as_deref()), (4, Some("Bearer HRKU-environment-1")), "{said}");
    assert!(said.contains("Invalid credentials: Bearer ***") && !said.contains("HRKU"), "{said}");
}

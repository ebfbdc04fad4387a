//! A request whose end nobody saw is sent again under the same key, so that a server that knows keys does it once; one
//! whose end is known is followed by another one.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
};

use gonogo::run::Event;

use super::{Home, until};

/// A server that keeps the key of every POST, answers the first with `first`, and has nothing to show to a GET.
struct Orders {
    port: u16,
    keys: Arc<Mutex<Vec<String>>>,
}

/// What becomes of the first POST.
#[derive(Clone, Copy)]
enum First {
    Hangs,
    Says(u16),
}

impl Orders {
    /// `named` finds the key in the head and the body of a request.
    fn start(first: First, named: fn(&str, &str) -> String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let keys = Arc::new(Mutex::new(Vec::new()));
        let kept = keys.clone();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let kept = kept.clone();
                thread::spawn(move || {
                    let mut from = BufReader::new(stream.try_clone().unwrap());
                    let mut head = String::new();
                    while matches!(from.read_line(&mut head), Ok(3..)) && !head.ends_with("\r\n\r\n") {}
                    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                    let mut body = vec![0; length.unwrap_or(0)];
                    from.read_exact(&mut body).unwrap();
                    let mut status = 404;
                    if head.starts_with("POST ") {
                        let mut kept = kept.lock().unwrap();
                        kept.push(named(&head, &String::from_utf8_lossy(&body)));
                        status = match first {
                            First::Hangs if kept.len() == 1 => {
                                drop(kept);
                                // Until the client is gone.
                                let _end = from.read(&mut [0]);
                                return;
                            }
                            First::Says(status) if kept.len() == 1 => status,
                            _ => 202,
                        };
                    }
                    let said = "{\"status\":\"success\"}";
                    let head = format!("HTTP/1.1 {status} Text\r\ncontent-length: {}\r\n", said.len());
                    let _gone = stream.write_all(format!("{head}connection: close\r\n\r\n{said}").as_bytes());
                });
            }
        });
        Self { port, keys }
    }

    fn keys(&self) -> Vec<String> {
        self.keys.lock().unwrap().clone()
    }
}

fn header(head: &str, _body: &str) -> String {
    head.lines().find_map(|line| line.strip_prefix("idempotency-key: ")).unwrap().to_owned()
}

fn dedup(_head: &str, body: &str) -> String {
    serde_json::from_str::<serde_json::Value>(body).unwrap()["dedup_key"].as_str().unwrap().to_owned()
}

fn book(action: &str) -> String {
    format!(
        r#"format = 1
[runbook]
id = "orders"
title = "An order"
lead = "mira"
[people]
mira = {{ name = "Mira Okafor", role = "cutover lead" }}
[env.staging]
kind = "rehearsal"
confirm = "acme-staging"
[[step]]
id = "order"
title = "Order it"
owner = "mira"
planned = "10s"
timeout = "60s"
action = {{ {action} }}
rollback = {{ none = "an order is an order" }}
"#
    )
}

fn sends(orders: &Orders, rest: &str) -> String {
    let url = format!("http://127.0.0.1:{}/orders", orders.port);
    book(&format!("kind = \"http.send\", url = \"{url}\", {rest}"))
}

/// Every token that an intent was written with.
fn tokens(home: &Home) -> Vec<String> {
    let (envelopes, _) = home.journal();
    let token = |event: &Event| match event {
        Event::Intended(intended) => Some(intended.token.clone()),
        _ => None,
    };
    envelopes.iter().filter_map(|envelope| token(&envelope.event)).collect()
}

/// Starts it, kills it once the request has arrived, resumes: the keys that came.
fn killed_and_resumed(orders: &Orders, text: &str) -> Vec<String> {
    let home = Home::new();
    let path = home.file("orders.toml", text).display().to_string();
    let run = home.start(["rehearse", path.as_str(), "--env", "staging", "--plain", "--auto-go"]);
    until("it is sent", || (orders.keys().len() == 1).then_some(()));
    assert_eq!(run.kill().code, 128 + 9);
    let resumed = home.run(["resume", "last", "--plain", "--auto-go"]);
    assert_eq!(resumed.code, 0, "{resumed:?}");
    assert_eq!(tokens(&home), orders.keys(), "what the journal says is what was sent");
    orders.keys()
}

#[test]
fn killed_and_resumed_it_has_the_same_key() {
    let orders = Orders::start(First::Hangs, header);
    let probe = format!("probe = {{ kind = \"http.check\", url = \"http://127.0.0.1:{}/orders\" }}", orders.port);
    let keys = killed_and_resumed(&orders, &sends(&orders, &probe));
    assert!(keys.len() == 2 && keys[0] == keys[1], "{keys:?}");
}

#[test]
fn the_event_of_an_alert_is_the_same_one() {
    let orders = Orders::start(First::Hangs, dedup);
    let url = format!("http://127.0.0.1:{}/", orders.port);
    let text = book(&format!(
        "kind = \"notify\", to = \"pagerduty\", url = \"{url}\", routing_key = \"R0\", text = \"it begins\", timeout = \"30s\""
    ));
    let keys = killed_and_resumed(&orders, &text);
    assert!(keys.len() == 2 && keys[0] == keys[1], "{keys:?}");
}

/// A person sends it again after an answer.
fn retried(first: First, rest: &str, words: &[&str]) -> Vec<String> {
    let orders = Orders::start(first, header);
    let home = Home::new();
    let path = home.file("orders.toml", &sends(&orders, rest)).display().to_string();
    let ended = home.typed(["rehearse", path.as_str(), "--env", "staging", "--plain"], words);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(tokens(&home), orders.keys());
    orders.keys()
}

#[test]
fn what_nobody_knows_keeps_its_key_and_what_is_known_begins_anew() {
    let again = ["retry", "retry", "the provider says it is not there"];
    let keys = retried(First::Hangs, "timeout = \"300ms\"", &again);
    assert!(keys.len() == 2 && keys[0] == keys[1], "no answer: {keys:?}");
    let keys = retried(First::Says(502), "timeout = \"10s\"", &again);
    assert!(keys.len() == 2 && keys[0] == keys[1], "a gateway's answer: {keys:?}");
    let keys = retried(First::Says(422), "timeout = \"10s\"", &["retry", "retry"]);
    assert!(keys.len() == 2 && keys[0] != keys[1], "refused: {keys:?}");
}

//! A server that repeats what it was sent, in the spelling of its own JSON: neither the journal nor the terminal shows
//! the secret.

use super::Home;

const KEY: &str = "wJalrXUtnFEMI/K7MD&<b>ENG'+\u{e9}";

#[test]
fn a_secret_that_comes_back_escaped_is_masked() {
    // PHP, Python, Go and Rails, HTML.
    let spelled = [
        KEY.replace('/', "\\/"),
        KEY.replace('\u{e9}', "\\u00e9"),
        KEY.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e").replace('/', "\\/"),
        KEY.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&#39;"),
    ];
    for echo in spelled {
        let home = Home::new().with("KEY", KEY);
        let text = r#"format = 1
[runbook]
id = "echo"
title = "An echo"
lead = "mira"
[people]
mira = { name = "Mira Okafor", role = "cutover lead" }
[env.staging]
kind = "rehearsal"
confirm = "acme-staging"
[secrets]
key = { env = "KEY" }
[[step]]
id = "send"
title = "Send it"
owner = "mira"
planned = "10s"
timeout = "20s"
action = { kind = "http.send", url = "http://127.0.0.1:PORT/", headers = { x-k = "${secret.key}" } }
rollback = { none = "an echo is an echo" }
"#;
        let port = answering(format!("{{\"k\": \"{echo}\"}}"));
        let path = home.file("echo.toml", &text.replace("PORT", &port.to_string())).display().to_string();
        let ended = home.run(["rehearse", path.as_str(), "--env", "staging", "--plain", "--no-input"]);
        assert!(ended.out.contains("***"), "the answer is shown: {ended:?}");
        let journal = std::fs::read_to_string(home.folder().join("journal.jsonl")).unwrap();
        for shown in [&ended.out, &ended.err, &journal] {
            assert!(!shown.contains("wJalrXUtnFEMI") && !shown.contains("K7MD"), "{echo}: {shown}");
        }
        // What is masked is a journal still.
        home.journal();
    }
}

/// Answers every request with 500 and a body.
fn answering(body: String) -> u16 {
    use std::io::{BufRead as _, BufReader, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut from = BufReader::new(stream.try_clone().unwrap());
            while matches!(from.read_until(b'\n', &mut head), Ok(3..)) {
                if head.ends_with(b"\r\n\r\n") {
                    break;
                }
            }
            let length = body.len();
            let _gone = stream.write_all(
                format!("HTTP/1.1 500 Text\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}").as_bytes(),
            );
        }
    });
    port
}

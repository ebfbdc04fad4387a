//! Many requests of one check are one intent and one outcome in the journal.

use gonogo::run::Event;

use super::Home;
use crate::nginx::Nginx;

/// A runbook whose step sends one request and then checks `times` more, of a real web server.
fn night(url: &str, times: u32) -> String {
    format!(
        "format = 1\n\n[runbook]\nid = \"burst\"\ntitle = \"A burst\"\nlead = \"mira\"\n\n[people]\nmira = {{ name = \"Mira Okafor\" }}\n\n\
         [env.sandbox]\nkind = \"sandbox\"\n\n[[step]]\nid = \"burst\"\ntitle = \"A burst\"\nowner = \"mira\"\nplanned = \"30s\"\n\
         action = {{ kind = \"http.send\", url = \"{url}/\" }}\nrollback = {{ none = \"nothing was changed\" }}\n\
         verify = [{{ kind = \"http.check\", url = \"{url}/\", times = {times}, at_once = 8, contains = \"fine\" }}]\n"
    )
}

#[test]
fn is_one_intent_and_one_outcome() {
    let nginx = Nginx::start("server { listen 127.0.0.1:{0}; location / { return 200 \"fine\"; } }");
    let records = |times: u32| {
        let home = Home::new();
        let path = home.file("night.toml", &night(&nginx.url(0), times)).display().to_string();
        let ended = home.run(["rehearse", &path, "--env", "sandbox", "--plain", "--auto-go"]);
        assert_eq!(ended.code, 0, "{ended:?}");
        let (envelopes, _) = home.journal();
        let of = |wanted: fn(&Event) -> bool| envelopes.iter().filter(|envelope| wanted(&envelope.event)).count();
        let intents = of(|event| matches!(event, Event::Intended(_)));
        (envelopes.len(), intents, of(|event| matches!(event, Event::Checked { .. })))
    };
    let before = std::fs::read_to_string(nginx.dir.path().join("access.log")).unwrap_or_default().lines().count();
    let (few, many) = (records(2), records(300));
    let served = std::fs::read_to_string(nginx.dir.path().join("access.log")).unwrap().lines().count() - before;
    assert_eq!(served, 2 + 300 + 2, "all were sent");
    assert_eq!((few.1, few.2), (1, 1), "one intent, one sighting");
    // A burst may tell its progress; what is decided is the same.
    assert_eq!((many.1, many.2), (1, 1), "one intent, one sighting");
    assert!(many.0 <= few.0 + 8, "{few:?} {many:?}");
}

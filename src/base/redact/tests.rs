//! Every encoding of a secret is masked, wherever it is cut.

use proptest::prelude::*;

use super::*;

fn knows(values: &[&str]) -> Arc<Redactor> {
    let redactor = Redactor::default();
    for value in values {
        redactor.register(&Secret::new((*value).to_owned()));
    }
    Arc::new(redactor)
}

const CANARY: &str = "s3cr3t/\"canary\"+ü'x$y";

fn spellings(value: &str) -> Vec<String> {
    use base64::{Engine as _, engine::general_purpose as b64};
    let hex = value.bytes().map(|b| format!("{b:02X}")).collect::<String>();
    let mut all = vec![
        value.to_owned(),
        hex.to_lowercase(),
        hex,
        serde_json::to_string(value).unwrap(),
        serde_json::to_string(&serde_json::to_string(value).unwrap()).unwrap(),
        percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC).to_string(),
        format!("'{}'", value.replace('\'', r"'\''")),
    ];
    for before in ["", "a", "ab", "abc", "user:"] {
        for after in ["", "z", "zy", "\n"] {
            let text = format!("{before}{value}{after}");
            all.extend([
                b64::STANDARD.encode(&text),
                b64::URL_SAFE_NO_PAD.encode(&text),
                b64::STANDARD_NO_PAD.encode(&text),
            ]);
        }
    }
    all
}

#[test]
fn every_spelling_is_masked() {
    let redactor = knows(&[CANARY]);
    for spelling in spellings(CANARY) {
        let text = format!("before {spelling} after");
        let shown = redactor.redact(&text);
        assert!(shown.starts_with("before ") && shown.ends_with(" after"), "{shown}");
        // At most two base64 characters at each edge also hold bits of the neighbours and stay.
        let middle = shown.trim_start_matches("before ").trim_end_matches(" after");
        assert!(middle.contains(MASK), "{spelling}");
        assert!(middle.len() <= MASK.len() + 14, "{spelling} → {middle}");
    }
}

#[test]
fn what_other_libraries_write_is_masked() {
    let value = "k3y/\"<a>&'b'\u{e9}+";
    let redactor = knows(&[value]);
    let json = value.replace('"', "\\\"");
    let html = json.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
    let dotnet = r"k3y/\u0022\u003Ca\u003E\u0026\u0027b\u0027\u00E9\u002B";
    for spelling in [
        json.replace('/', "\\/").replace('\u{e9}', "\\u00e9"),
        html.clone(),
        html.replace('/', "\\/").replace('\'', "\\u0027"),
        dotnet.to_owned(),
        "k3y/&quot;&lt;a&gt;&amp;&#39;b&#39;\u{e9}+".to_owned(),
        "k3y/&quot;&lt;a&gt;&amp;&#x27;b&#x27;\u{e9}+".to_owned(),
        "k3y\\/&quot;&lt;a&gt;&amp;'b'\u{e9}+".to_owned(),
    ] {
        assert_eq!(redactor.redact(&format!("<{spelling}>")), "<***>");
        let mut record = serde_json::json!({ "a": [1, { spelling.as_str(): null }], "b": spelling });
        assert!(redactor.redact_json(&mut record));
        assert_eq!(record, serde_json::json!({ "a": [1, { "***": null }], "b": "***" }));
        assert!(!redactor.redact_json(&mut record));
    }
}

#[test]
fn leaves_of_structured_values() {
    let url = knows(&["postgres://shop:p%40ss-word-1@db.example:5432/shop"]);
    assert_eq!(url.redact("auth failed for p@ss-word-1!"), "auth failed for ***!");
    assert_eq!(url.redact("PGPASSWORD=p%40ss-word-1"), "PGPASSWORD=***");
    assert_eq!(url.redact("db.example"), "db.example");
    let json = knows(&[r#"{"engine":"postgres","username":"app","password":"correct horse"}"#]);
    assert_eq!(json.redact("postgres said: correct horse?"), "postgres said: ***?");
    let pem = knows(&["-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQ\n-----END KEY-----\n"]);
    assert_eq!(pem.redact("x kqhkiG9w0BAQ y"), "x *** y");
}

#[test]
fn short_values_are_words() {
    let redactor = knows(&["hunter2", "abc"]);
    assert_eq!(redactor.redact("hunter2 xhunter2 (hunter2) hunter22"), "*** xhunter2 (***) hunter22");
    assert_eq!(redactor.redact("abc"), "abc");
}

#[test]
fn overlapping_secrets_both_go() {
    assert_eq!(knows(&["abcdefgh", "efghijkl"]).redact("-abcdefghijkl-"), "-***-");
}

#[test]
fn nothing_registered_borrows() {
    assert!(matches!(Redactor::default().redact("plain"), Cow::Borrowed("plain")));
}

/// Texts are cut before they come here, with `…` behind.
#[test]
fn a_form_that_was_cut() {
    let redactor = knows(&[CANARY]);
    for long in (8..CANARY.len()).filter(|long| CANARY.is_char_boundary(*long)) {
        assert_eq!(redactor.redact(&format!("key {}… and more", &CANARY[..long])), "key ***… and more", "{long}");
    }
    assert_eq!(redactor.redact(&format!("{CANARY} {}…", &CANARY[..9])), "*** ***…");
    for plain in [format!("key {}…", &CANARY[..7]), format!("key {}", &CANARY[..9]), "…".into(), "a … b".into()] {
        assert_eq!(redactor.redact(&plain), plain);
    }
}

fn streamed(redactor: &Arc<Redactor>, pieces: &[&[u8]]) -> Vec<u8> {
    let mut stream = redactor.stream();
    let mut out = pieces.iter().flat_map(|piece| stream.push(piece)).collect::<Vec<_>>();
    out.extend(stream.finish());
    out
}

#[test]
fn cut_at_every_place() {
    let redactor = knows(&[CANARY, "hunter2", "aaaaaaaa"]);
    for text in [
        format!("x {CANARY} y {CANARY}{CANARY} hunter2 hunter22 xhunter2"),
        format!("{}b", "a".repeat(40)),
        spellings(CANARY).join(" "),
        "hunter2".to_owned(),
    ] {
        let whole = redactor.redact(&text).into_owned();
        let bytes = text.as_bytes();
        for cut in 0..=bytes.len() {
            let out = streamed(&redactor, &[&bytes[..cut], &bytes[cut..]]);
            assert_eq!(String::from_utf8_lossy(&out), whole, "cut at {cut}");
        }
        let single = bytes.chunks(1).collect::<Vec<_>>();
        assert_eq!(String::from_utf8_lossy(&streamed(&redactor, &single)), whole);
    }
}

#[test]
fn plain_output_is_not_held_back() {
    let mut stream = knows(&[CANARY]).stream();
    assert_eq!(stream.push(b"ready in 3\n"), b"ready in 3\n");
    assert_eq!(stream.push(b"token s3cr"), b"token ");
    assert_eq!(stream.push(b"aped\n"), b"s3craped\n");
}

proptest! {
    #[test]
    fn pieces_equal_the_whole(
        secrets in prop::collection::vec("[ab]{4,10}", 1..4),
        text in "[ab ]{0,60}",
        cuts in prop::collection::vec(0_usize..60, 0..6),
    ) {
        let redactor = knows(&secrets.iter().map(String::as_str).collect::<Vec<_>>());
        let mut cuts = cuts.into_iter().map(|c| c.min(text.len())).collect::<Vec<_>>();
        cuts.push(text.len());
        cuts.sort_unstable();
        let mut from = 0;
        let pieces = cuts.iter().map(|&to| { let piece = &text.as_bytes()[from..to]; from = to; piece }).collect::<Vec<_>>();
        prop_assert_eq!(String::from_utf8(streamed(&redactor, &pieces)).unwrap(), redactor.redact(&text).into_owned());
    }
}

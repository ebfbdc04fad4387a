//! Files made to break the reader: whatever the bytes, an answer, quickly, and no panic.

use gonogo::runbook::{MAX_BYTES, MAX_STEPS, Resolver, parse};
use proptest::prelude::*;

use super::{HEAD, folder, step, with_head};

fn codes(bytes: &[u8]) -> Vec<&'static str> {
    let parsed = parse(bytes, "hostile.toml");
    let rendered = parsed.diagnostics.render(false, None);
    assert!(!rendered.is_empty());
    parsed.diagnostics.sorted().iter().map(|d| d.code.as_str()).collect()
}

#[test]
fn too_large_too_deep_too_many() {
    assert_eq!(codes(&vec![b'#'; MAX_BYTES + 1]), ["GNE001"]);
    assert!(!codes(&vec![b'['; MAX_BYTES]).is_empty());
    assert_eq!(codes(format!("a = {}", "[".repeat(500_000)).as_bytes()), ["GNE004"]);
    assert!(codes(format!("a = {}{}", "[".repeat(40), "]".repeat(40)).as_bytes()).contains(&"GNE004"));
    assert_eq!(codes(format!("a = {}", "{a=".repeat(300_000)).as_bytes()), ["GNE004"]);
    assert_eq!(codes(format!("{}a = 1", "a.".repeat(500_000)).as_bytes()), ["GNE004"]);
    assert_eq!(codes(format!("[{}a]", "a.".repeat(500_000)).as_bytes()), ["GNE004"]);
    assert_eq!(codes("=\n".repeat(MAX_BYTES / 2).as_bytes()).len(), 20);
    let many = with_head(&"[[step]]\n".repeat(100_000)).diagnostics;
    assert!(many.iter().any(|d| d.code.as_str() == "GNE071"), "{}", many.render(false, None));
    assert_eq!(many.iter().count(), 1);
    let keys = (0..60_000).map(|i| format!("kay{i} = 1\n")).collect::<String>();
    let found = parse(keys.as_bytes(), "x").diagnostics;
    assert!(found.iter().count() <= 100 && found.dropped() > 50_000);
    let vars = (0..40_000).map(|i| format!("v{i} = \"${{w{i}}}\"\n")).collect::<String>();
    assert!(with_head(&format!("[vars]\n{vars}")).diagnostics.has_errors());
}

/// Whoever reads a file stops behind the limit, so that its size is not told.
#[test]
fn a_file_that_is_too_large_is_not_counted() {
    let found = parse(&vec![b'#'; MAX_BYTES + 1], "large.toml").diagnostics;
    assert_eq!(
        found.sorted()[0].message,
        "the file has more than 1048576 bytes (1 MiB), the most that a runbook may have"
    );
}

#[test]
fn as_many_steps_as_allowed() {
    let steps = (0..MAX_STEPS).map(|i| step(&format!("s{i}"), "")).collect::<String>();
    assert!(with_head(&steps).diagnostics.is_empty());
    let found = with_head(&format!("{steps}{}", step("one-more", ""))).diagnostics;
    assert_eq!(found.iter().map(|d| d.code.as_str()).collect::<Vec<_>>(), ["GNE071"]);
}

#[test]
fn a_circle_of_all_steps_is_one_mistake() {
    let steps = (1..MAX_STEPS).map(|i| step(&format!("s{i}"), "")).collect::<String>();
    let found = with_head(&format!("{}{steps}", step("s0", &format!("needs = [\"s{}\"]", MAX_STEPS - 1)))).diagnostics;
    assert_eq!(found.iter().map(|d| d.code.as_str()).collect::<Vec<_>>(), ["GNE035"]);
}

#[test]
fn not_text() {
    assert_eq!(codes(b""), ["GNE003"]);
    assert_eq!(codes(b"\xef\xbb\xbf"), ["GNE003"]);
    assert_eq!(codes(b"format = 1\n# \xff\xfe"), ["GNE002"]);
    assert_eq!(codes(b"format = 1\n\0"), ["GNE005"]);
    assert_eq!(
        codes("format = 1\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>().as_slice()),
        ["GNE005"]
    );
    let found = parse("a = \"äöü\"\nb = \"\u{e4}".as_bytes().split_last().unwrap().1, "x").diagnostics;
    let first = found.sorted()[0].clone();
    let place = found.source().place(first.span.start);
    assert_eq!((place.line, place.column), (2, 6));
}

#[test]
fn a_very_long_line_is_cut() {
    let found = with_head(&step("a", &format!("why = \"{}${{nope}}{}\"", "x".repeat(100_000), "y".repeat(100_000))))
        .diagnostics;
    let rendered = found.render(false, None);
    assert!(rendered.len() < 1500, "{rendered}");
    assert!(rendered.contains("${nope}") && rendered.contains(":100008"), "{rendered}");
}

/// All that can be asked of a file, whatever it holds.
fn look(bytes: &[u8]) {
    let parsed = parse(bytes, "fuzz.toml");
    let _ = (parsed.diagnostics.render(true, Some(80)), parsed.diagnostics.to_json());
    if let Some(book) = &parsed.runbook {
        for env in &book.envs {
            let resolver = Resolver::new(book, env);
            for step in &book.steps {
                let _ = resolver.text(&step.title);
                let (canonical, _) = resolver.canonical_step(step);
                assert!(serde_json::from_str::<serde_json::Value>(&canonical).is_ok());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutations_never_panic(edits in prop::collection::vec((any::<prop::sample::Index>(), 0..6_u8, any::<prop::sample::Index>()), 1..8)) {
        const PIECES: &[&str] = &["\"", "${", "}", "[[step]]", "\u{1b}[2J", "=", "[", "{", "'''", "ä", "\0", "1", ".", "\r", "secret.", "${secret.pager}", "\u{202e}", "needs = [\"go-freeze\"]\n"];
        let mut bytes = std::fs::read(folder("good").join("design.toml")).unwrap();
        for (at, what, other) in edits {
            let (at, to) = (at.index(bytes.len()), other.index(bytes.len()));
            match what {
                0 => { bytes.remove(at); }
                1 => bytes[at] = bytes[to],
                2 => { let piece = PIECES[other.index(PIECES.len())]; bytes.splice(at..at, piece.bytes()); }
                3 => { bytes.drain(at.min(to)..at.max(to).min(at.min(to) + 200)); }
                4 => { let copy = bytes[at.min(to)..at.max(to).min(at.min(to) + 400)].to_vec(); bytes.splice(at..at, copy); }
                _ => bytes[at] = (to % 256) as u8,
            }
        }
        look(&bytes);
    }

    #[test]
    fn noise_never_panics(text in "\\PC{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        look(&bytes);
        look(text.as_bytes());
        look(format!("{HEAD}{}", step("a", &text)).as_bytes());
        look(format!("{HEAD}{}", step("a", &format!("why = '{text}'"))).as_bytes());
    }
}

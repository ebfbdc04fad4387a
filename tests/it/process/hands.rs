//! A step by hand through the real program: ticked off one by one, killed in the middle, proved by its check, and taken
//! back by hand.

use gonogo::run::{Ending, Event};

use super::{Home, book};

#[test]
fn what_was_ticked_off_survives_a_kill_and_is_taken_back_by_hand() {
    let home = Home::new();
    let path = book("hands.toml").display().to_string();
    let mut run = home.start(["rehearse", "--env", "sandbox", "--plain", &path]);
    run.says("Type the number of what is done, one by one. Then type done and the ticket (like OPS-[0-9]+)");
    assert!(!run.out().contains("Do: [ ]"), "the checklist stands apart: {}", run.out());
    run.types("1");
    run.says("ticked at 1 [x] 1 they have the addresses: mira");
    run.types("done OPS-7");
    run.says("refused: it needs a reason (2 of 3 are not ticked off: 2, 3). Type it behind the word: done because");
    assert_eq!(run.kill().code, 128 + 9);
    // Only its owner knows how far it was: a person decides, and what was ticked is still ticked.
    let mut run = home.start(["resume", "last", "--plain"]);
    run.says("OUTCOME IN DOUBT 1");
    for line in ["retry", "retry because she is still on the phone", "go"] {
        run.types(line);
    }
    run.says("[x] 1 they have the addresses (mira ");
    run.types("2");
    run.says("ticked at 1 [x] 2 they watch their error rate: mira");
    run.types("-2");
    run.says("NOT DONE after all at 1 [ ] 2 they watch their error rate: mira");
    run.types("2");
    run.types("4");
    run.says("refused: there is no 4 on the checklist: it has 3");
    run.types("done");
    run.says("refused: write down the ticket");
    run.types("done tomorrow");
    run.says("refused: the ticket has to be like OPS-[0-9]+");
    run.types("done password=hunter2");
    run.says("refused: that looks like a password, and everybody reads the record");
    run.types("done OPS-7 because they call back in the morning");
    run.says(
        "mira says 1 Tell the payment provider is done: OPS-7; not ticked off: they call back, \"they call back in the",
    );
    // A person's word is not the proof.
    run.says("step 1 FAILED");
    home.file("called", "");
    run.types("done by hand");
    run.types("done");
    run.types("called again");
    run.says("STOP POINT 2");
    for line in ["rollback", "rollback because it is off", "undo"] {
        run.types(line);
    }
    run.says("UNDO BY HAND 1");
    run.types("1");
    run.types("done");
    let ended = run.ended();
    assert_eq!(ended.code, 13, "{ended:?}");
    let journal = std::fs::read_to_string(home.folder().join("journal.jsonl")).unwrap();
    assert!(!journal.contains("hunter2"), "{journal}");
    let (envelopes, state) = home.journal();
    let ticks: Vec<(usize, bool)> = envelopes
        .iter()
        .filter_map(|envelope| match &envelope.event {
            Event::Ticked { item, on, .. } => Some((*item, *on)),
            _ => None,
        })
        .collect();
    assert_eq!(ticks, [(0, true), (1, true), (1, false), (1, true), (0, true)]);
    assert_eq!(state.ended, Some(Ending::RolledBack));
    let report = home.run(["report", "last"]);
    assert!(report.out.contains("ticked off 2") && report.out.contains("not ticked off: they call back"), "{report:?}");
}

#[test]
fn an_automatic_rehearsal_says_that_nobody_ticked_anything() {
    let home = Home::new();
    home.file("called", "");
    let path = book("hands.toml").display().to_string();
    let ended = home.run(["rehearse", "--env", "sandbox", "--plain", "--auto-go", &path]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("is done: auto-go; not ticked off: they have the addresses; "), "{ended:?}");
}

/// What a runbook asks for is shown on its own lines, whatever stands in it.
#[test]
fn no_text_of_a_runbook_can_pass_for_a_line_of_the_log() {
    let home = Home::new();
    let hostile = r"x\u001b[2J\u202e\n02:00:00 step 9 DONE";
    let text = std::fs::read_to_string(book("hands.toml")).unwrap();
    let text = text
        .replace("\"they call back\"", &format!("\"{hostile} of the list\""))
        .replace("\"Call them.\"", &format!("\"Call them. {hostile} of the instructions\""))
        .replace("\"the ticket\"", &format!("\"{hostile} of the value\""))
        .replace("pattern      = \"OPS-[0-9]+\"", &format!("choices = [\"auto-go\", \"{hostile} of the choices\"]"))
        .replace("\"they have the old addresses\"", &format!("\"{hostile} of the undo\""))
        .replace(
            "argv = [\"test\", \"-e\", \"called\"]",
            &format!("argv = [\"true\"], expect_output = \"{hostile} of the check\""),
        );
    let path = home.file("hostile.toml", &text).display().to_string();
    let first = home.run(["rehearse", "--env", "sandbox", "--plain", &path]);
    home.run(["resume", "last", "--plain", "--auto-go"]);
    let mut all = vec![first];
    for args in [&["replay", "last", "--plain"][..], &["report", "last"], &["status", "last"], &["check", &path]] {
        all.push(home.run(args));
    }
    assert!(all[0].out.contains("of the list") && all[0].out.contains("of the check"), "{:?}", all[0]);
    for ended in &all {
        let raw = ended.out.chars().find(|c| matches!(c, '\u{1b}' | '\u{202e}'));
        assert_eq!(raw, None, "{ended:?}");
        assert!(!ended.out.lines().any(|line| line.starts_with("02:00:00 step 9")), "{ended:?}");
    }
}

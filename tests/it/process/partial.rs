//! A machine without PostgreSQL and Redis: what needs them is left out of a sandbox's run, every view says so, and the
//! exit code is never that of a whole one.

use super::{Home, book, night::cut_off};

/// A home on a machine where no programs are found.
fn bare() -> Home {
    let home = Home::new().with("OWN_DATABASE", "postgres://own.example/db");
    let none = home.path().join("nothing-here").display().to_string();
    home.with("GONOGO_SANDBOX_PROGRAMS", &none)
}

#[test]
fn what_cannot_run_is_left_out_and_said_everywhere() {
    let home = bare();
    let path = book("partial.toml").display().to_string();
    let check = home.run(["check", &path]);
    assert_eq!(check.code, 0, "{check:?}");
    let words = "PARTIAL: 2 steps, 2 criteria, 1 watch are left out: no PostgreSQL (initdb and postgres not found in";
    assert!(check.err.contains(words) && check.err.contains("install"), "{check:?}");

    let night = home.run(["rehearse", &path, "--env", "sandbox", "--auto-go", "--plain"]);
    assert_eq!(night.code, 15, "{night:?}");
    assert!(night.out.starts_with("SANDBOX PARTIAL partial"), "{night:?}");
    assert!(night.out.contains(words) && night.err.contains(words), "{night:?}");
    for step in ["2 Orders are counted on both sides", "4 Sequences are moved on"] {
        assert!(night.out.contains(&format!("step {step}: left out: no PostgreSQL on this machine")), "{night:?}");
    }
    // Both servers are lacking: one command installs them.
    let install = night.out.lines().find(|line| line.contains("step 2 Orders")).unwrap().to_lowercase();
    assert!(install.contains("postgresql") && (install.contains("redis") || install.contains("valkey")), "{install}");
    // The question is asked without what cannot be looked at.
    assert!(night.out.contains("step 3 Go / no-go: go on: decided: go"), "{night:?}");
    // A secret that leads elsewhere is nobody's server but its own.
    assert!(night.out.contains("step 5 DONE"), "{night:?}");
    assert!(night.out.contains("ENDED: done in part"), "{night:?}");
    let (envelopes, state) = home.journal();
    let outline = state.outline.as_ref().unwrap();
    assert!(outline.partial() && outline.lacks.len() == 2, "{:?}", outline.lacks);
    assert_eq!((outline.steps[2].stop.as_ref().unwrap().criteria.len(), state.watches.len()), (1, 0));
    let first = String::from_utf8(envelopes[0].encode().unwrap()).unwrap();
    assert!(first.contains("left_out") && first.contains("old_db"), "{first}");

    let replay = cut_off(&home, &["replay", "last", "--plain"]);
    assert!(replay.out.contains("SANDBOX PARTIAL") && replay.out.contains(words), "{replay:?}");
    for (format, says) in
        [("md", "PARTIAL: 2 steps"), ("json", "\"partial\": \"PARTIAL: 2 steps"), ("csv", ",left out,")]
    {
        let report = cut_off(&home, &["report", "last", "--format", format]);
        assert!(report.out.contains(says), "{format}: {report:?}");
    }
    let list = home.run(["runs", "list"]);
    assert!(list.out.contains("done in part, PARTIAL"), "{list:?}");
    let show = home.run(["runs", "show"]);
    assert!(show.out.contains("PARTIAL: 2 steps"), "{show:?}");
}

#[test]
fn one_that_is_resumed_leaves_out_what_it_left_out_before() {
    let home = bare();
    let path = book("partial.toml").display().to_string();
    let held = home.run(["rehearse", &path, "--env", "sandbox", "--no-input"]);
    assert_eq!(held.code, 10, "{held:?}");
    assert!(home.run(["runs", "list"]).out.contains("open, PARTIAL"));
    // Meanwhile somebody has installed them.
    let installed: Vec<_> = home.vars.iter().filter(|(name, _)| name != "GONOGO_SANDBOX_PROGRAMS").cloned().collect();
    let home = Home { vars: installed, ..home };
    let end = home.run(["resume", "--plain", "--auto-go"]);
    assert_eq!(end.code, 15, "{end:?}");
    assert!(end.out.contains("left out: no PostgreSQL"), "{end:?}");
}

//! What the screens show, at the sizes that people have.

use gonogo::{
    log::{EventLog, Playhead as _},
    replay::Player,
    run::{EnvOutline, HoldWhy, Input, Treatment},
    runbook::EnvKind,
    tui::{Desk, Theme},
};
use ratatui::{buffer::Buffer, style::Modifier};
use unicode_width::UnicodeWidthStr as _;

use super::scene::{Scene, lines};
use crate::night::{Night, outline};

const SIZES: [(u16, u16); 3] = [(60, 16), (80, 24), (160, 45)];

/// Draws a night at every size, checks what holds for every screen, and compares with what was seen before.
fn shown(name: &str, night: impl Fn() -> Night, keys: &str) {
    for (width, height) in SIZES {
        let mut scene = Scene::new(night(), width, height);
        scene.reads().types(keys);
        let text = scene.text();
        sound(&text, width, height);
        insta::assert_snapshot!(format!("{name}_{width}x{height}"), text);
    }
}

/// No line is wider than the screen, and the header is in the first three lines.
fn sound(text: &str, width: u16, height: u16) {
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() <= height.into(), "{} lines in {height}", lines.len());
    for line in &lines {
        assert!(line.width() <= width.into(), "{line:?} is wider than {width}");
    }
    assert!(lines[0].starts_with('['), "the mode is first: {:?}", lines[0]);
    assert!(lines[1].contains('/') || lines[1].contains(" of "), "how far: {:?}", lines[1]);
    assert!(lines[2].contains("ROLLBACK"), "the way back is third: {:?}", lines[2]);
    assert!(!lines[usize::from(height) - 1].trim().is_empty(), "the last line says something");
}

fn night(play: impl Fn(&mut Night)) -> impl Fn() -> Night {
    move || {
        let mut night = Night::open(EnvKind::Live);
        play(&mut night);
        night
    }
}

#[test]
fn start() {
    shown(
        "start",
        night(|n| {
            n.wait(20);
        }),
        "",
    );
}

/// What `--from` and `--until` leave out is not counted.
#[test]
fn the_start_of_a_part() {
    let mut outline = outline(EnvKind::Live);
    let all = outline.steps.len();
    for step in &mut outline.steps[2..] {
        step.treatment = Treatment::Leave("after --until lower-ttl".into());
    }
    let text = Scene::new(Night::of(outline), 160, 45).text();
    assert!(text.contains(&format!("2 of {all} steps, 3m of planned work, people are asked 0 times")), "{text}");
}

#[test]
fn running() {
    shown(
        "running",
        night(|n| {
            n.to_deploy().deploying();
        }),
        "",
    );
}

#[test]
fn stop_point() {
    shown(
        "stop_point",
        night(|n| {
            n.to_go_open();
        }),
        "",
    );
}

/// Votes of other terminals: one against it with its reason, one for it, one missing.
#[test]
fn votes_from_elsewhere() {
    let play = night(|n| {
        n.to_go_freeze().wait(20).criteria("go-freeze", &[Ok("lag 14 kB"), Ok("6 of 6 running")]);
        n.wait(30).vote_from("go-freeze", "dana", false, Some("the lag grows since 01:50"), "deploy@bastion pts/3");
    });
    shown("votes_from_elsewhere", play, "");
}

#[test]
fn failure() {
    shown(
        "failure",
        night(|n| {
            n.failed();
        }),
        "",
    );
}

#[test]
fn skip_sheet() {
    shown(
        "skip_sheet",
        night(|n| {
            n.failed();
        }),
        "s\n",
    );
}

#[test]
fn rollback_sheet() {
    shown(
        "rollback_sheet",
        night(|n| {
            n.failed();
        }),
        "b\n",
    );
}

#[test]
fn no_return() {
    shown(
        "no_return",
        night(|n| {
            n.to_no_return();
        }),
        "",
    );
}

#[test]
fn manual() {
    let play = night(|n| {
        n.to_go_freeze().criteria("go-freeze", &[Ok("lag 14 kB"), Ok("6 of 6")]);
        n.vote("go-freeze", "dana", true).vote("go-freeze", "sam", true).go("go-freeze");
        n.done("maintenance", 64, "503").done("workers-down", 50, "worker=0").done("queues-empty", 401, "0");
        n.done("lag-zero", 52, "lag 0").ready("promote").wait(30);
    });
    shown("manual", play, "");
}

/// Half of a long checklist is done, a value is asked for, the instructions are long.
#[test]
fn checklist() {
    let play = night(|n| {
        n.with_checklist().to_go_freeze().criteria("go-freeze", &[Ok("lag 14 kB"), Ok("6 of 6")]);
        n.vote("go-freeze", "dana", true).vote("go-freeze", "sam", true).go("go-freeze");
        n.done("maintenance", 64, "503").done("workers-down", 50, "worker=0").done("queues-empty", 401, "0");
        n.done("lag-zero", 52, "lag 0").ready("promote").wait(30);
        for item in 0..3 {
            n.wait(7).says("sam", gonogo::run::Intent::Tick { step: crate::night::step_id("promote"), item, on: true });
        }
    });
    shown("checklist", &play, "");
    shown("checklist_left", &play, "done\n");
    shown("checklist_detail", &play, "\u{1b}\n");
}

#[test]
fn held() {
    let play = night(|n| {
        n.to_deploy().deploying().says("dana", gonogo::run::Intent::Hold).wait(20);
    });
    shown("held", play, "x");
}

#[test]
fn breached() {
    let play = night(|n| {
        n.to_go_open().criteria("go-open", &[Ok("12 of 12"), Ok("0"), Ok("6 of 6")]).go("go-open");
        n.done("switch-dns", 9, "INSYNC");
        for _ in 0..3 {
            n.wait(10).sample(Some(false), "4.1 % of 1,204 requests");
        }
    });
    shown("breached", play, "");
}

#[test]
fn undo() {
    shown(
        "undo",
        night(|n| {
            n.rolling_back();
        }),
        "",
    );
}

#[test]
fn rolled_back() {
    shown(
        "rolled_back",
        night(|n| {
            n.rolled_back();
        }),
        "",
    );
}

#[test]
fn ended() {
    shown(
        "ended",
        night(|n| {
            n.to_end();
        }),
        "",
    );
}

#[test]
fn help() {
    shown(
        "help",
        night(|n| {
            n.to_deploy().deploying();
        }),
        "?",
    );
}

#[test]
fn detail() {
    shown(
        "detail",
        night(|n| {
            n.to_deploy().deploying();
        }),
        "\n",
    );
}

#[test]
fn log() {
    shown(
        "log",
        night(|n| {
            n.to_deploy().deploying();
        }),
        "5",
    );
}

#[test]
fn notes() {
    shown(
        "notes",
        night(|n| {
            n.to_deploy().deploying();
        }),
        "6",
    );
}

#[test]
fn leave() {
    shown(
        "leave",
        night(|n| {
            n.to_deploy().deploying();
        }),
        "q",
    );
}

#[test]
fn in_doubt() {
    let play = night(|n| {
        n.to_deploy().ready("deploy-web").wait(30);
        n.input(Input::Resume(gonogo::run::Resumed {
            operator: crate::night::person("dana"),
            from: "dana@bastion".into(),
            auto_go: false,
        }));
        let line = "service web runs 412 with 3 of 6 tasks".into();
        n.wait(4).report("deploy-web", gonogo::run::Report::Found(gonogo::run::Finding::Unclear { line }));
    });
    shown("in_doubt", play, "");
}

#[test]
fn ascii() {
    for (name, keys) in [("ascii_running", "?\x1b"), ("ascii_log", "5")] {
        let mut night = Night::open(EnvKind::Live);
        night.to_deploy().deploying().line("deploy-web", "umlauts äöü and 数据库");
        let mut scene = Scene::with(night, 80, 24, Desk::Live, Theme { color: false, ascii: true });
        scene.reads().types(keys);
        let text = scene.text();
        assert!(text.is_ascii(), "{text}");
        insta::assert_snapshot!(name, text);
    }
}

/// Replays carry the mode of what they show.
#[test]
fn replay() {
    for (width, height) in SIZES {
        let mut night = Night::open(EnvKind::Sandbox);
        night.to_go_open();
        let log = EventLog::default();
        log.publish(night.log.iter().cloned());
        let player = Player::new(&log, "verified, anchored up to 41");
        player.to_tenth(6);
        player.set_speed(8.0);
        // What the playhead has reached is what is read.
        let visible = player.visible(&log);
        night.log.truncate(visible);
        night.ms = player.now().elapsed.0;
        let mut scene = Scene::with(night, width, height, Desk::Replay, Theme { color: true, ascii: false });
        scene.shown = Some(player.shown());
        let text = scene.text();
        sound(&text, width, height);
        assert!(text.lines().next().unwrap().starts_with("[REPLAY] SANDBOX"), "{text}");
        insta::assert_snapshot!(format!("replay_{width}x{height}"), text);
        assert!(scene.said.is_empty());
    }
}

/// SANDBOX is on the screen whatever is open, at every size.
#[test]
fn the_sandbox_never_looks_like_anything_else() {
    for (width, height) in [(60, 16), (80, 24), (160, 45), (30, 2), (9, 1)] {
        for keys in ["", "?", "5", "6", "\n", "q", "m"] {
            let mut night = Night::open(EnvKind::Sandbox);
            night.to_deploy().deploying();
            let mut scene = Scene::new(night, width, height);
            scene.types(keys);
            let text = scene.text();
            assert!(text.contains("SANDBOX"), "{width}x{height} {keys:?}\n{text}");
        }
    }
}

/// Styles of a screen as runs: `12 green+bold "DONE"`.
fn styles(buffer: &Buffer) -> String {
    let area = buffer.area;
    let mut out = String::new();
    for y in area.top()..area.bottom() {
        let mut x = area.left();
        while x < area.right() {
            let style = |x: u16| (buffer[(x, y)].fg, buffer[(x, y)].modifier);
            let begin = x;
            let mut text = String::new();
            while x < area.right() && style(x) == style(begin) {
                text += buffer[(x, y)].symbol();
                x += 1;
            }
            let (color, modifier) = style(begin);
            let plain = color == ratatui::style::Color::Reset && modifier == Modifier::empty();
            if !plain && !text.trim().is_empty() {
                out += &format!("{y:>2} {color} {modifier:?} {:?}\n", text.trim_end());
            }
        }
    }
    out
}

#[test]
fn colours() {
    for (name, color) in [("styles_color", true), ("styles_mono", false)] {
        let mut night = Night::open(EnvKind::Live);
        night.failed();
        let mut scene = Scene::with(night, 80, 24, Desk::Live, Theme { color, ascii: false });
        scene.reads().types("\x1b");
        let buffer = scene.look();
        if !color {
            assert!(buffer.content.iter().all(|cell| cell.fg == ratatui::style::Color::Reset), "mono has no colour");
        }
        insta::assert_snapshot!(name, styles(&buffer));
    }
}

/// Nothing that comes from outside can be wider than its place or break a border.
#[test]
fn hostile_titles_stay_in_their_column() {
    for (width, height) in [(60, 16), (80, 24), (100, 40), (120, 30), (160, 45), (240, 60)] {
        let mut outline = outline(EnvKind::Live);
        for (i, step) in outline.steps.iter_mut().enumerate() {
            step.title = match i % 4 {
                0 => "数据库".repeat(40),
                1 => "a\u{301}".repeat(90),
                2 => "long".repeat(60),
                _ => "🙂 family 👩‍👩‍👧 and ｆｕｌｌ width".repeat(9),
            };
            step.owner = crate::night::person("dana");
        }
        outline.env = EnvOutline { fence: vec!["x".repeat(300), "账户".repeat(50)], ..outline.env };
        let mut night = Night::of(outline);
        night.to_go_freeze();
        for keys in ["", "\x1b", "\x1b\n", "\x1b5", "\x1b?"] {
            let mut scene = Scene::new(night.clone(), width, height);
            scene.reads().types(keys);
            let text = scene.text();
            sound(&text, width, height);
        }
    }
}

#[test]
fn no_size_is_too_small() {
    let sizes = [(0, 0), (1, 1), (0, 5), (5, 0), (2, 2), (59, 16), (60, 15), (79, 24), (80, 23), (119, 30), (500, 200)];
    let plays: [fn(&mut Night); 3] = [
        |n| {
            n.to_deploy().deploying();
        },
        |n| {
            n.failed();
        },
        |n| {
            n.to_no_return();
        },
    ];
    for play in plays {
        let mut night = Night::open(EnvKind::Live);
        play(&mut night);
        let mut scene = Scene::new(night, 80, 24);
        for (width, height) in sizes {
            scene.size = ratatui::layout::Size::new(width, height);
            let buffer = scene.look();
            assert_eq!(lines(&buffer).len(), usize::from(height));
        }
    }
}

/// How late it is, and a budget that is used up, are seen whatever asks or holds.
#[test]
fn lateness_and_a_used_up_budget_are_never_left_out() {
    type Play = fn(&mut Night);
    let plays: [(&str, Play); 3] = [
        ("HELD", |n| {
            n.to_deploy().deploying().wait(9000).input(Input::Hold(HoldWhy::Signal("SIGTERM".into())));
        }),
        ("HELD", |n| {
            n.failed().wait(9000);
        }),
        ("CONFIRM", |n| {
            n.to_no_return().wait(9000);
        }),
    ];
    for (standing, play) in plays {
        for (width, height) in SIZES {
            let mut night = Night::open(EnvKind::Live);
            play(&mut night);
            let text = Scene::new(night, width, height).text();
            let line = text.lines().nth(1).unwrap();
            for word in ["LATE +", standing, "freeze ", "downtime ", "OVER"] {
                assert!(line.contains(word), "{word:?} at {width}x{height}: {line}");
            }
        }
    }
    // Where it is not used up it is there as well, where there is room for it.
    let mut night = Night::open(EnvKind::Live);
    night.to_go_open();
    let text = Scene::new(night, 160, 45).text();
    let line = text.lines().nth(1).unwrap();
    assert!(line.contains("AT STOP POINT 13") && line.contains("write freeze") && line.contains("downtime"), "{line}");
}

/// Too small a screen says that it is a replay, and a message about its size goes with the size.
#[test]
fn a_tiny_screen_says_what_it_is() {
    let mut night = Night::open(EnvKind::Live);
    night.to_go_open();
    let mut scene = Scene::with(night.clone(), 40, 5, Desk::Replay, Theme { color: true, ascii: false });
    let text = scene.text();
    assert!(text.contains("REPLAY") && !text.contains("HOLD") && !text.contains("asked"), "{text}");
    let mut scene = Scene::new(night, 80, 24);
    scene.size = ratatui::layout::Size::new(40, 5);
    scene.reads().types("g");
    assert!(scene.text().contains("too small to answer"), "{}", scene.text());
    scene.size = ratatui::layout::Size::new(80, 24);
    assert!(!scene.text().contains("too small"), "{}", scene.text());
}

/// Every reason to hold has words, and the sheet that says them.
#[test]
fn every_hold_says_why() {
    let mut seen = std::collections::HashSet::new();
    for why in [
        HoldWhy::Resumed,
        HoldWhy::Clock,
        HoldWhy::TerminalLost,
        HoldWhy::Signal("SIGTERM".into()),
        HoldWhy::Left,
        HoldWhy::JournalFailed("no space left on device".into()),
    ] {
        let mut night = Night::open(EnvKind::Live);
        night.to_go_freeze().criteria("go-freeze", &[Ok("14 kB"), Ok("6")]);
        night.vote("go-freeze", "dana", true).vote("go-freeze", "sam", true).go("go-freeze").ready("maintenance");
        night.input(Input::Hold(why.clone())).done("maintenance", 64, "503");
        // What the refusals say is what is offered.
        let board = gonogo::board::Board::of(&night.state, night.now(), &super::scene::face());
        let goes_on = !matches!(why, HoldWhy::JournalFailed(_));
        assert_eq!(board.next.text.contains("`go` lets it go on"), goes_on, "{:?}", board.next);
        assert_eq!(board.choices.iter().any(|choice| choice.act == gonogo::board::Act::RollBack), goes_on);
        let mut night = Night::open(EnvKind::Live);
        night.to_deploy().deploying().input(Input::Hold(why));
        let mut scene = Scene::new(night, 80, 24);
        let text = scene.text();
        let standing = text.lines().nth(1).unwrap().to_owned();
        assert!(standing.contains("HELD"), "{text}");
        assert!(seen.insert(standing), "{text}");
    }
}

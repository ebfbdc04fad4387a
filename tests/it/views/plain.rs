//! Plain lines: golden transcripts of made-up nights, and every decision by typed words.

use std::{
    io::{Cursor, Write},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use gonogo::{
    base::{Class, Failure, Stamp, StepId},
    board::{Face, Zone},
    log::{EventLog, InputReceiver, InputSender, Playhead, Said},
    plain::{Desk, Outcome, Sink, Typed, View},
    run::{Done, Ending, Envelope, Finding, HoldWhy, Input, Intent, Outcome as Ended, Report, Resumed, Undo},
    runbook::EnvKind,
};

use super::golden;
use crate::night::{Night, outline, person, stamp, step_id};

/// What was written.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Everything is visible; the time is that of the last event, and a little later each time it is asked.
struct Here(EventLog, Mutex<u64>);

impl Playhead for Here {
    fn visible(&self, log: &EventLog) -> usize {
        log.len()
    }
    fn now(&self) -> Stamp {
        let last = self.0.read(0, usize::MAX).last().map_or(0, |last| last.elapsed.0);
        stamp(last + *self.1.lock().unwrap())
    }
}

fn face() -> Face {
    Face { zone: Zone::fixed(3600, "CET"), ..Face::default() }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn in_time<F: Future>(future: F) -> F::Output {
    runtime().block_on(async { tokio::time::timeout(Duration::from_secs(20), future).await.expect("it ends in time") })
}

/// A replay: everything at once, nobody answers.
fn replayed(envelopes: Vec<Envelope>) -> (String, Outcome) {
    let log = EventLog::default();
    log.publish(envelopes);
    log.close();
    let paper = Paper::default();
    let view = View {
        playhead: Arc::new(Here(log.clone(), Mutex::new(0))),
        log,
        face: face(),
        talk: Sink::new(Box::new(paper.clone())),
        data: None,
        desk: None,
    };
    let outcome = in_time(gonogo::plain::run(view));
    (paper.text(), outcome)
}

/// A night that is answered by a script: a conductor without attempts. What the world does is `world`,
/// called after every change until it has nothing to do.
struct Stage {
    night: Night,
    log: EventLog,
    shown: usize,
    left: Option<HoldWhy>,
    /// Something is typed though nothing is asked.
    patient: bool,
}

impl Stage {
    fn publish(&mut self) {
        let new = self.night.log[self.shown..].to_vec();
        self.shown = self.night.log.len();
        self.log.publish(new);
    }

    async fn conduct(&mut self, mut inputs: InputReceiver, mut world: impl FnMut(&mut Night)) {
        loop {
            world(&mut self.night);
            self.publish();
            let asks = self.night.state.blocked() || self.night.state.awaiting_owner().next().is_some();
            if self.night.state.ended.is_some() || self.left.is_some() || !(asks || self.patient) {
                break;
            }
            let Some(request) = inputs.next().await else { break };
            self.night.ms += 3_000;
            let answer = match request.said {
                Said::Intent { who, typed_by, intent } => self.night.try_input(Input::Person { who, typed_by, intent }),
                Said::Leave(why) => {
                    self.left = Some(why.clone());
                    self.night.try_input(Input::Hold(why))
                }
            };
            self.publish();
            let _gone = request.answer.send(answer.map(drop));
        }
        self.log.close();
    }
}

struct Played {
    text: String,
    night: Night,
    outcome: Outcome,
    left: Option<HoldWhy>,
}

impl Played {
    /// What was written from the first line that holds `from` on.
    #[track_caller]
    fn from(&self, from: &str) -> &str {
        let at = self.text.find(from).unwrap_or_else(|| panic!("no `{from}` in:\n{}", self.text));
        let begin = self.text[..at].rfind('\n').map_or(0, |n| n + 1);
        &self.text[begin..]
    }

    #[track_caller]
    fn said(&self, words: &str) {
        assert!(self.text.contains(words), "no `{words}` in:\n{}", self.text);
    }
}

fn play_with(night: Night, desk: impl FnOnce(InputSender) -> Desk, world: impl FnMut(&mut Night)) -> Played {
    let log = EventLog::default();
    log.set_anchor("12-9f3ab2c4d5e60718".into());
    let (sender, inputs) = InputSender::channel();
    let paper = Paper::default();
    let view = View {
        playhead: Arc::new(Here(log.clone(), Mutex::new(0))),
        log: log.clone(),
        face: face(),
        talk: Sink::new(Box::new(paper.clone())),
        data: None,
        desk: Some(desk(sender)),
    };
    let mut stage = Stage { night, log, shown: 0, left: None, patient: false };
    let (outcome, ()) = in_time(async { tokio::join!(gonogo::plain::run(view), stage.conduct(inputs, world)) });
    Played { text: paper.text(), night: stage.night, outcome, left: stage.left }
}

/// A script on standard input.
fn play(night: Night, script: &str, world: impl FnMut(&mut Night)) -> Played {
    let script = Cursor::new(script.to_owned().into_bytes());
    play_with(night, |sender| Desk { sender, typed: Typed::from(Box::new(script), false), confirm: Vec::new() }, world)
}

fn nothing(_: &mut Night) {}

fn failed() -> Night {
    let mut night = Night::open(EnvKind::Live);
    night.failed();
    night
}

#[test]
fn a_whole_night_is_one_line_an_event() {
    let mut night = Night::open(EnvKind::Live);
    night.to_end();
    let (text, outcome) = replayed(night.log.clone());
    assert_eq!(outcome.state, night.state);
    assert!(!outcome.lost);
    golden("night.txt", &text);
}

#[test]
fn a_rollback_is_told() {
    let mut night = Night::open(EnvKind::Live);
    night.rolled_back();
    golden("rollback.txt", &replayed(night.log.clone()).0);
}

/// Sentences stand apart, and say nothing of undos that are none.
#[test]
fn a_rollback_is_told_in_whole_sentences() {
    let mut night = Night::open(EnvKind::Live);
    night.rolling_back().says("dana", Intent::Hold);
    let text = replayed(night.log.clone()).0;
    assert!(text.contains("Rollback UNDER WAY, 0 of 4 undone. ~8m left."), "{text}");
    let mut outline = outline(EnvKind::Live);
    for step in outline.steps.iter_mut().filter(|step| step.undo != Undo::Nothing) {
        step.undo = Undo::None("words cannot be taken back".into());
    }
    let mut night = Night::of(outline);
    night.failed();
    let board = gonogo::board::Board::of(&night.state, night.now(), &face());
    let choice = board.choices.iter().find(|choice| choice.act == gonogo::board::Act::RollBack).unwrap();
    assert_eq!((choice.does.as_str(), choice.cost.as_str()), ("end here: nothing can be undone", ""));
    assert!(choice.loses[0].starts_with("Takes nothing back: "), "{:?}", choice.loses);
    night.says("mira", Intent::RollBack { typed: "rollback".into(), reason: None });
    let text = replayed(night.log.clone()).0;
    assert!(text.contains("ROLLBACK: rollback of nothing; ") && !text.contains("0 of 0"), "{text}");
}

/// Checks that a step has not got do not hold.
#[test]
fn done_by_hand_without_checks_claims_none() {
    let mut night = failed();
    let step = step_id("deploy-web");
    let mut outline = (**night.state.outline.as_ref().unwrap()).clone();
    outline.steps[10].verifies.clear();
    let mut bare = Night::of(outline);
    bare.failed();
    for (night, wanted) in [(&mut night, "DONE by hand, its checks hold."), (&mut bare, "DONE by hand. nothing more")] {
        night.says("dana", Intent::ByHand { step: step.clone(), reason: "in the console".into() });
        night.report("deploy-web", Report::Ended(Ended::Done(Done::new("nothing more to look at"))));
        let text = replayed(night.log.clone()).0;
        assert!(text.contains(&format!("step 11 {wanted}")), "{text}");
    }
}

#[test]
fn a_night_by_typed_words() {
    let mut night = Night::open(EnvKind::Live);
    night.wait(5);
    let script = "status\ngo\ndana go\nsam: go\nnote replica looks fine\ngo\ndone 4/8A2F10\n3\nretry\n\
                  dana go\nvote sam go\ngo\nmira: acme-prod\nacme-prod\ndone\n";
    let mut tried = false;
    let played = play(night, script, |night| world(night, &mut tried));
    assert_eq!(played.night.state.ended, Some(Ending::Completed), "{}", played.text);
    assert_eq!(played.outcome.state, played.night.state);
    golden("typed.txt", &played.text);
}

/// Does what a conductor and the world would: every attempt works and ends; the first deployment fails.
fn world(night: &mut Night, tried: &mut bool) {
    loop {
        let asked = night.state.asking().map(|(i, _)| i);
        if let Some(i) = asked
            && let Some(stop) = night.state.outlines()[i].stop.clone()
            && night.state.steps[i].criteria.iter().any(|criterion| criterion.ok.is_none())
        {
            let id = night.state.outlines()[i].id.to_string();
            let answers: Vec<Result<&str, &str>> = stop.criteria.iter().map(|_| Ok("as it should be")).collect();
            night.wait(2).criteria(&id, &answers);
            continue;
        }
        let alive = night.state.wanted().into_iter().find(|wanted| {
            let (step, run) = night.state.step(&wanted.step).unwrap();
            let attempt = run.attempt(wanted.attempt).unwrap();
            !(step.manual && attempt.intended && attempt.owner_done.is_none())
        });
        let Some(wanted) = alive else {
            if night.state.next_due(night.now()).is_some() {
                night.wait(10);
                continue;
            }
            return;
        };
        let id = wanted.step.to_string();
        let (step, run) = night.state.step(&wanted.step).unwrap();
        let intended = run.attempt(wanted.attempt).unwrap().intended;
        if step.manual && !intended {
            night.ready(&id);
        } else if id == "deploy-web" && !*tried {
            *tried = true;
            let failure = Failure::new(Class::Failed, "2 of 6 tasks exited 1").hint("look at the task definition");
            night.ready(&id).wait(40).line(&id, "task 8f2 stopped: exit code 1");
            night.fails_now(&id, 100, failure);
        } else if step.manual {
            night.wait(20).done_now(&id, "seen");
        } else {
            night.done(&id, 20, "as planned");
        }
    }
}

trait FailsNow {
    fn fails_now(&mut self, id: &str, seconds: u64, failure: Failure);
}

impl FailsNow for Night {
    /// As `fails`, for an attempt whose intent is written already.
    fn fails_now(&mut self, id: &str, seconds: u64, failure: Failure) {
        self.wait(seconds).report(id, Report::Ended(gonogo::run::Outcome::Failed(failure)));
    }
}

#[test]
fn every_choice_at_a_failure_acts_by_its_word() {
    // Retry: by number, by word, with a wrong word and an empty line before.
    let played = play(failed(), "3\nretyr\nretry\n", nothing);
    played.said("typed `retyr`; the word is `retry`");
    assert!(played.from("confirm> retry").contains("step 11 attempt 2 started"), "{}", played.text);
    let played = play(failed(), "retry\n\nretry\nretry\n", nothing);
    played.said("holding: nothing was done");
    played.said("step 11 attempt 2 started");
    // Done by hand asks how.
    let played = play(failed(), "done by hand\ndone\nadded the secret in the console\n", nothing);
    played.said("Why? It is recorded: what was done by hand.");
    played.said("step 11 is checked again");
    let reason = &played.night.state.steps[10].forward.reason;
    assert_eq!(reason.as_deref(), Some("added the secret in the console"));
    // Skip, with the reason in one line.
    let played = play(failed(), "5\nskip because the service is not used tonight\n", nothing);
    played.said("skipped: the service is not used tonight");
    // An empty reason goes back and skips nothing.
    let played = play(failed(), "skip\nskip\n\n", nothing);
    assert!(!played.night.state.steps[10].forward.state.settled());
    // Roll back and abort.
    let played = play(failed(), "roll back\nrollback because redis\nundo\n", nothing);
    played.said("ROLLBACK: rollback of");
    played.said("confirm> undo");
    assert!(played.night.state.rollback.is_some());
    let played = play(failed(), "abort\nabort\n", nothing);
    assert_eq!(played.night.state.ended, Some(Ending::Aborted));
    // Hold and log act on nothing.
    let played = play(failed(), "1\n2\nlog\n", nothing);
    played.said("holding: nothing happens until something is chosen");
    assert!(played.from("choice> 2").contains("task 8f2 stopped: exit code 1"));
    assert_eq!(played.left, Some(HoldWhy::Left));
    // What is no choice says so.
    let played = play(failed(), "9\nyes\n", nothing);
    played.said("`9` is no choice: 1 to 7, or hold, log, retry, done by hand, skip, roll back, abort");
}

#[test]
fn a_stop_point_takes_votes_and_decisions() {
    let at_open = || {
        let mut night = Night::open(EnvKind::Live);
        night.to_go_open();
        night
    };
    // One criterion is red: go needs a reason, and who may decide is told.
    let played =
        play(at_open(), "dana: go because I say so\nmaybe\ngo because the ALB lags behind its metrics\n", nothing);
    played.said("STOP POINT 13 of 18: GO/NO-GO 2: open to traffic.");
    played.said("PASS smoke tests 12 of 12: 12 of 12");
    played.said("FAIL ALB 6 of 6 healthy for 2 m: 4 of 6 healthy");
    played.said("Votes: dana GO, sam GO");
    played.said("Anchor: 12-9f3ab2c4d5e60718");
    played.said("`maybe` is no answer here");
    played.said("mira at 13: GO (typed by dana), \"the ALB lags behind its metrics\" against: ALB 6 of 6 healthy for 2 m: 4 of 6 healthy");
    // Their own word without a decision to take is a vote.
    played.said("dana votes go");
    let played = play(at_open(), "sam no-go\nmira: no-go because of the ALB\n", nothing);
    played.said("sam votes NO-GO");
    assert!(matches!(played.night.state.hold.as_ref().map(|h| &h.why), Some(HoldWhy::Left)));
    assert!(played.night.state.steps[12].forward.no_go);
    played.said("no-go");
}

#[test]
fn a_scripted_go_waits_for_the_criteria() {
    let mut night = Night::open(EnvKind::Live);
    night.to_go_freeze().wait(5);
    let mut looked = 0;
    let played = play(night, "dana go\nsam go\ngo\n", |night| {
        looked += 1;
        if looked == 3 {
            night.wait(2).criteria("go-freeze", &[Ok("lag 14 kB"), Ok("6 of 6 running")]);
        }
    });
    assert!(played.night.state.steps[3].forward.gone, "{}", played.text);
}

#[test]
fn the_point_of_no_return_takes_two_people() {
    let mut night = Night::open(EnvKind::Live);
    night.to_no_return();
    let played = play(night, "acme-dev\nacme-prod\nacme-prod\n\nas mira: acme-prod\n", nothing);
    played.said("NO RETURN 16: Let the new database take writes. You are about to cross the POINT OF NO RETURN.");
    played.said("Does: ALTER DATABASE acme SET default_transaction_read_only = off");
    played.said("2 people confirm: nobody so far.");
    played.said("refused: typed `acme-dev`; the word is `acme-prod`");
    played.said("2 people confirm: dana so far.");
    played.said("dana has confirmed; a second person is needed: as NAME: acme-prod");
    assert_eq!(played.night.state.steps[15].forward.confirmed.len(), 2);
    played.said("step 16 of 18 started");
}

#[test]
fn words_given_before_answer_their_step_only() {
    let mut night = Night::open(EnvKind::Live);
    night.to_no_return();
    let words = |words: &[(&str, &str)]| words.iter().map(|(step, word)| (step_id(step), (*word).to_owned())).collect();
    let confirm: Vec<(StepId, String)> = words(&[("open-writes", "acme-prod"), ("open-writes", "as sam: acme-prod")]);
    let played = play_with(night, |sender| Desk { sender, typed: Typed::nobody(), confirm }, nothing);
    played.said("confirm> acme-prod (given before)");
    assert_eq!(
        played.night.state.steps[15].forward.confirmed.iter().map(|(who, _)| who.as_str()).collect::<Vec<_>>(),
        ["dana", "sam"]
    );
    let confirm = words(&[("deploy-web", "retry"), ("go-open", "go")]);
    let played = play_with(failed(), |sender| Desk { sender, typed: Typed::nobody(), confirm }, nothing);
    assert!(!played.text.contains("given before"), "a failure is decided by people");
    assert_eq!(played.left, Some(HoldWhy::Left));
    played.said("nobody is there to answer: the run holds and can be resumed");
}

#[test]
fn an_attempt_in_doubt_is_decided_by_people() {
    let mut night = Night::open(EnvKind::Live);
    night.to_deploy().ready("deploy-web").wait(30);
    night.input(Input::Resume(resumed()));
    let mut probed = false;
    let played = play(night, "go\nretry\nretry because the console shows revision 409\n", |night| {
        if !probed && night.state.steps[10].attempts.last().is_some_and(|a| a.alive()) {
            probed = true;
            night
                .wait(3)
                .report("deploy-web", Report::Found(Finding::Unclear { line: "two deployments are listed".into() }));
        }
    });
    played.said("step 11 in doubt: looking whether attempt 1 was done");
    played.said("OUTCOME IN DOUBT 11");
    played.said("two deployments are listed");
    played.said("Lost: nobody knows whether it was done: it may happen twice");
    assert_eq!(played.night.state.operator, Some(person("sam")));
    assert!(played.night.state.steps[10].forward.asked_tries == 1, "{}", played.text);
}

fn resumed() -> Resumed {
    serde_json::from_value(serde_json::json!({ "operator": "sam", "from": "sam@bastion" })).unwrap()
}

#[test]
fn the_past_of_a_run_is_not_asked_about() {
    let mut night = failed();
    let past = night.log.clone();
    night.input(Input::Resume(resumed()));
    // The script's first word is for the question of the new process, though the old one ended with another.
    let log = EventLog::default();
    log.publish(past.clone());
    let (sender, inputs) = InputSender::channel();
    let (paper, data) = (Paper::default(), Paper::default());
    let typed = Typed::from(Box::new(Cursor::new(b"retry\nretry\ngo\n".to_vec())), false);
    let view = View {
        playhead: Arc::new(Here(log.clone(), Mutex::new(0))),
        log: log.clone(),
        face: face(),
        talk: Sink::new(Box::new(paper.clone())),
        data: Some(Sink::new(Box::new(data.clone()))),
        desk: Some(Desk { sender, typed, confirm: Vec::new() }),
    };
    let view = gonogo::plain::run(view);
    let mut stage = Stage { night, log, shown: past.len(), left: None, patient: false };
    let (outcome, ()) = in_time(async { tokio::join!(view, stage.conduct(inputs, nothing)) });
    let text = paper.text();
    assert!(text.contains("10 of 18 steps are settled") && !text.contains("step 1 DONE"), "{text}");
    assert!(text.find("RESUMED").unwrap() < text.find("choice> retry").unwrap(), "{text}");
    assert!(text.contains("step 11 attempt 2 started"), "{text}");
    assert_eq!(outcome.state, stage.night.state);
    let first = Envelope::decode(data.text().lines().next().unwrap().as_bytes()).unwrap();
    assert_eq!(first.seq, past.len() as u64 + 1, "--json prints what becomes durable now");
}

#[test]
fn hold_status_note_and_leave_work_at_any_prompt() {
    let played = play(failed(), "status\nskip\nstatus\nhold\nnote the secret is gone\nhelp\nleave\n", nothing);
    played.said("Rollback OPEN");
    played.said("Next: somebody decides what to do with 11");
    assert!(played.from("confirm> status").contains("Operator dana, lead mira"));
    assert!(played.from("confirm> hold").contains("HELD: asked by dana"), "{}", played.text);
    assert_eq!(played.night.state.notes.last().unwrap().text, "the secret is gone");
    assert_eq!(played.left, Some(HoldWhy::Left));
}

#[test]
fn a_reader_that_goes_away_makes_the_run_hold() {
    struct Closed(usize);
    impl Write for Closed {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.saturating_sub(1);
            if self.0 == 0 { Err(std::io::ErrorKind::BrokenPipe.into()) } else { Ok(bytes.len()) }
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let log = EventLog::default();
    let (sender, inputs) = InputSender::channel();
    let view = View {
        playhead: Arc::new(Here(log.clone(), Mutex::new(0))),
        log: log.clone(),
        face: face(),
        talk: Sink::new(Box::new(Closed(1))),
        data: None,
        desk: Some(Desk { sender, typed: Typed::nobody(), confirm: vec![(step_id("go-freeze"), "no-go".into())] }),
    };
    let mut night = Night::open(EnvKind::Live);
    night.to_deploy();
    let mut stage = Stage { night, log, shown: 0, left: None, patient: true };
    let (outcome, ()) = in_time(async { tokio::join!(gonogo::plain::run(view), stage.conduct(inputs, nothing)) });
    assert!(outcome.lost);
    assert_eq!(stage.left, Some(HoldWhy::TerminalLost));
    assert_eq!(outcome.state, stage.night.state, "what happened is still followed to its end");
}

#[test]
fn a_blocked_output_stops_neither_the_run_nor_a_hold() {
    /// Blocks until it is let go.
    struct Blocked(std::sync::mpsc::Receiver<()>, Paper);
    impl Write for Blocked {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _until_the_sender_is_dropped = self.0.recv();
            self.1.write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (free, gate) = std::sync::mpsc::channel();
    let paper = Paper::default();
    let log = EventLog::default();
    let (sender, inputs) = InputSender::channel();
    let view = View {
        playhead: Arc::new(Here(log.clone(), Mutex::new(0))),
        log: log.clone(),
        face: face(),
        talk: Sink::new(Box::new(Blocked(gate, paper.clone()))),
        data: None,
        desk: Some(Desk {
            sender,
            typed: Typed::from(Box::new(Cursor::new(b"hold\n".to_vec())), true),
            confirm: Vec::new(),
        }),
    };
    let mut night = Night::open(EnvKind::Live);
    night.to_deploy().ready("deploy-web");
    for i in 0..2_000 {
        night.line("deploy-web", &format!("line {i}"));
        night.wait(61).report("deploy-web", Report::Progress { percent: 1, text: format!("waits {i}") });
    }
    let mut stage = Stage { night, log, shown: 0, left: None, patient: true };
    let mut free = Some(free);
    let (outcome, ()) = in_time(async {
        tokio::join!(
            gonogo::plain::run(view),
            stage.conduct(inputs, |night| {
                if night.state.hold.as_ref().is_some_and(|hold| hold.why == HoldWhy::Person) && night.state.busy() {
                    // The hold arrived while not a byte was written: the terminal is let go, the night ends.
                    free.take();
                    night.done_now("deploy-web", "done at last");
                    night.says("dana", Intent::Abort { typed: "abort".into(), reason: None });
                }
            })
        )
    });
    assert!(!outcome.lost);
    let text = paper.text();
    assert!(
        text.contains("waits 0") && text.contains("waits 1999") && text.contains("ENDED: stopped"),
        "{}",
        &text[text.len() - 900..]
    );
}

#[test]
fn json_prints_every_envelope_and_talks_elsewhere() {
    let mut night = Night::open(EnvKind::Live);
    night.to_end();
    let log = EventLog::default();
    log.publish(night.log.clone());
    log.close();
    let (talk, data) = (Paper::default(), Paper::default());
    let view = View {
        playhead: Arc::new(Here(log.clone(), Mutex::new(0))),
        log,
        face: face(),
        talk: Sink::new(Box::new(talk.clone())),
        data: Some(Sink::new(Box::new(data.clone()))),
        desk: None,
    };
    in_time(gonogo::plain::run(view));
    let read: Vec<Envelope> = data.text().lines().map(|line| Envelope::decode(line.as_bytes()).unwrap()).collect();
    assert_eq!(read, night.log);
    assert!(talk.text().starts_with("LIVE heroku-to-aws"));
}

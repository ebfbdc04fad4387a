//! Random plans, random inputs: what holds for every sequence, legal or not.

use std::collections::HashMap;

use gonogo::{
    base::{PersonId, WatchId},
    run::{
        BarState, Decision, Ending, Event, HoldWhy, Input, Intent, Refusal, Sample, Settlement, StepState, Timing,
        What, Why, auto_answer,
    },
    runbook::Retry,
};
use proptest::{collection::vec, prelude::*};

use super::*;

/// A step in small numbers, so that a failing case shrinks to something that a person can read.
#[derive(Debug, Clone)]
struct Spec {
    kind: u8,
    needs: Option<u16>,
    /// Voters and criteria.
    stop: Option<(u8, u8)>,
    people: u8,
    retry: Option<u8>,
    go_on: bool,
    undo: u8,
    treatment: u8,
    owner: u8,
    planned: u8,
    clocks: u8,
}

fn spec() -> impl Strategy<Value = Spec> {
    let first = (0..8u8, proptest::option::of(any::<u16>()), proptest::option::weighted(0.2, (0..3u8, 0..3u8)));
    let second = (1..=3u8, proptest::option::weighted(0.3, 1..4u8), proptest::bool::weighted(0.15), 0..4u8);
    let third = (0..12u8, 0..3u8, any::<u8>(), any::<u8>());
    (first, second, third).prop_map(
        |((kind, needs, stop), (people, retry, go_on, undo), (treatment, owner, planned, clocks))| Spec {
            kind,
            needs,
            stop,
            people: if people == 3 { 2 } else { 1 },
            retry,
            go_on,
            undo,
            treatment,
            owner,
            planned,
            clocks,
        },
    )
}

fn plan(specs: &[Spec], no_return: usize, watches: &[(u8, u8, u8)], live: bool) -> Outline {
    let names: Vec<String> = (0..specs.len()).map(|i| format!("s{i}")).collect();
    let people = ["mira", "dana", "sam"];
    let steps = specs.iter().enumerate().map(|(i, spec)| {
        let base = match spec.kind {
            0 => check(&names[i]),
            1 => StepOutline { works: false, ..check(&names[i]) },
            2 => {
                let checklist = (0..spec.planned % 3).map(|n| format!("thing {n}")).collect();
                let asks_value = (spec.clocks > 99).then(|| "x".into());
                StepOutline { manual: true, asks_value, checklist, ..step(&names[i]) }
            }
            _ => step(&names[i]),
        };
        // Without `needs` a step needs the one above; else some of those before it.
        let needs = match spec.needs {
            None => i.checked_sub(1).map(|above| id(&names[above])).into_iter().collect(),
            Some(mask) => (0..i).filter(|j| mask >> (j % 16) & 1 == 1).map(|j| id(&names[j])).collect(),
        };
        let stop = spec.stop.map(|(voters, criteria)| StopOutline {
            question: "go?".into(),
            if_go: None,
            if_no_go: None,
            voters: people[1..].iter().take(voters.into()).map(|name| who(name)).collect(),
            decides: who(people[usize::from(spec.owner)]),
            criteria: (0..criteria).map(|n| format!("criterion {n}")).collect(),
            left_out: Vec::new(),
        });
        let undo = match spec.undo {
            _ if !base.changes => Undo::Nothing,
            0 => Undo::None("cannot".into()),
            1 => Undo::Action(vec!["back".into()]),
            _ => Undo::Restore,
        };
        let treatment = match spec.treatment {
            0 => Treatment::ReadOnly,
            1 => Treatment::Leave("not today".into()),
            2 => Treatment::LeftOut("no PostgreSQL".into()),
            _ => Treatment::Do,
        };
        let wait = Duration::from_secs(u64::from(spec.planned % 20));
        StepOutline {
            needs,
            stop,
            undo,
            treatment,
            // Some are taken back by hand.
            undo_hands: (spec.undo == 1 && base.changes && spec.clocks % 2 == 0)
                .then(|| Hands { checklist: vec!["told them".into()], ..Hands::default() }),
            owner: who(people[usize::from(spec.owner)]),
            people: spec.people,
            no_return: i == no_return && base.changes,
            planned: Duration::from_secs(spec.planned.into()),
            retry: spec.retry.map(|attempts| Retry { attempts: attempts.into(), wait }),
            go_on_after_failure: spec.go_on.then(|| "never mind".into()),
            clocks: Clocks {
                freeze_starts: spec.clocks & 1 != 0,
                freeze_stops: spec.clocks & 2 != 0,
                downtime_starts: spec.clocks & 4 != 0,
                downtime_stops: spec.clocks & 8 != 0,
            },
            ..base
        }
    });
    let mut outline = outline(steps.collect());
    if live {
        outline.env.kind = EnvKind::Live;
        outline.window.start = Some((opened_at() - Duration::from_secs(90)).fixed_offset());
    }
    let n = specs.len();
    outline.watches = watches
        .iter()
        .enumerate()
        .map(|(i, (from, until, after))| WatchOutline {
            breach_after: u32::from(after % 3) + 1,
            no_data_is_bad: after & 4 != 0,
            hold: after & 8 != 0,
            ..watch(&format!("w{i}"), &names[usize::from(*from) % n], &names[usize::from(*until) % n])
        })
        .collect();
    outline
}

prop_compose! {
    fn plans()(
        specs in vec(spec(), 1..=12),
        no_return in 0..16usize,
        watches in vec((any::<u8>(), any::<u8>(), any::<u8>()), 0..3),
        live in any::<bool>(),
    ) -> Outline {
        plan(&specs, no_return, &watches, live)
    }
}

/// What the sequence of facts has to keep, told by a second state that is folded from what is on disk.
struct Judge {
    seq: u64,
    /// From the bytes of the journal.
    folded: RunState,
    envelopes: Vec<Envelope>,
    intents: HashMap<(StepId, Leg), u32>,
    /// What allows another intent: a person's retry, or a scheduled one after nothing was done.
    licences: HashMap<(StepId, Leg), u32>,
    ended: bool,
}

impl Judge {
    fn sees(&mut self, event: &Event, now: Stamp) {
        self.seq += 1;
        let envelope = envelope(self.seq, now, event.clone());
        let bytes = envelope.encode().unwrap();
        let read = Envelope::decode(&bytes).unwrap();
        assert_eq!(read, envelope, "{}", String::from_utf8_lossy(&bytes));
        self.before(&read.event);
        self.folded.evolve(&read.event, read.stamp());
        self.envelopes.push(read);
    }

    /// What must be so before a fact.
    fn before(&mut self, event: &Event) {
        let state = &self.folded;
        match event {
            Event::AttemptStarted { step, attempt, what } => {
                assert!(!self.ended, "{step} started after the end");
                let (outline, run) = state.step(step).unwrap();
                assert_eq!(*attempt, run.attempts.last().map_or(1, |last| last.number + 1));
                assert!(!run.attempts.iter().any(|a| a.alive()), "two attempts of {step} at once");
                if !what.acts() {
                    return;
                }
                assert!(!state.blocked(), "{step} started while blocked");
                assert!(!matches!(outline.treatment, Treatment::Leave(_) | Treatment::LeftOut(_)));
                match what.leg() {
                    Leg::Forward => {
                        assert!(state.rollback.is_none());
                        let settled = |need| state.step(need).unwrap().1.forward.state.settled();
                        assert!(outline.needs.iter().all(settled), "{step} started before its needs");
                        let looked_at = outline.treatment == Treatment::ReadOnly;
                        assert!(outline.stop.is_none() || looked_at || run.forward.gone);
                        assert!(run.forward.confirmed.len() >= outline.confirmations());
                        let owns = state.outlines().iter().zip(&state.steps).filter(|(o, r)| {
                            o.manual && o.owner == outline.owner && r.forward.state == StepState::Running
                        });
                        assert!(!outline.manual || owns.count() == 0, "{} owns two manual steps", outline.owner);
                    }
                    Leg::Back => {
                        let order = &state.rollback.as_ref().unwrap().order;
                        let at = order.iter().position(|i| Some(*i) == state.position(step)).unwrap();
                        let settled = |i: &usize| state.steps[*i].back.as_ref().unwrap().state.settled();
                        assert!(order[..at].iter().all(settled), "{step} is undone before what came after it");
                        assert!(!run.back.as_ref().unwrap().confirmed.is_empty(), "nobody typed undo for {step}");
                    }
                }
            }
            Event::Intended(intended) => {
                assert!(!self.ended, "an intent after the end");
                let (outline, run) = state.step(&intended.step).unwrap();
                let attempt = run.attempt(intended.attempt).unwrap();
                assert!(attempt.alive() && attempt.what.acts() && !attempt.intended);
                assert_eq!(outline.treatment, Treatment::Do);
                let key = (intended.step.clone(), attempt.what.leg());
                let intents = self.intents.entry(key.clone()).or_default();
                *intents += 1;
                let licences = 1 + self.licences.get(&key).copied().unwrap_or(0);
                assert!(*intents <= licences, "{} was sent again and nobody asked for it", intended.step);
            }
            Event::Decided { step, decision, .. } => match decision {
                Decision::Retry => {
                    let leg = if state.rollback.is_some() { Leg::Back } else { Leg::Forward };
                    *self.licences.entry((step.clone(), leg)).or_default() += 1;
                }
                Decision::RollBack => assert!(state.crossed.is_none(), "going back after the point of no return"),
                _ => {}
            },
            Event::RetryScheduled { step, .. } => {
                let (_, run) = state.step(step).unwrap();
                let StepState::NeedsDecision(Why::Failed(failure)) = &run.forward.state else { panic!("{run:?}") };
                assert!(failure.class.nothing_done());
                *self.licences.entry((step.clone(), Leg::Forward)).or_default() += 1;
            }
            Event::RollbackBegan { steps, left } => {
                assert!(state.crossed.is_none());
                let touched = state.outlines().iter().zip(&state.steps).filter(|(_, run)| run.touched);
                for (outline, _) in touched {
                    let covered = steps.contains(&outline.id) || left.iter().any(|(id, _)| id == &outline.id);
                    assert!(covered, "{} was touched and is not taken back", outline.id);
                    assert!(!outline.undoable() || steps.contains(&outline.id));
                }
                let began = |id: &StepId| state.step(id).unwrap().1.forward.began.map(|at| at.elapsed);
                assert!(steps.windows(2).all(|pair| began(&pair[0]) >= began(&pair[1])), "not in reverse: {steps:?}");
            }
            Event::Ended { ending } => {
                assert!(!self.ended);
                self.ended = true;
                match (&state.rollback, ending) {
                    (_, Ending::Aborted) => {}
                    (None, Ending::Completed | Ending::WithExceptions) => {
                        assert!(state.steps.iter().all(|step| step.forward.state.settled()));
                        let partial = state.outline.as_ref().unwrap().partial();
                        assert!(*ending == Ending::WithExceptions || !partial, "whole, though something was left out");
                    }
                    (Some(rollback), Ending::RolledBack | Ending::RolledBackInPart) => {
                        let backs = rollback.order.iter().map(|&i| state.steps[i].back.as_ref().unwrap());
                        let mut skipped = false;
                        for back in backs {
                            assert!(back.state.settled());
                            skipped |= matches!(
                                back.state,
                                StepState::Settled(gonogo::run::Gate::Otherwise(Settlement::Skipped(_)))
                            );
                        }
                        let part = skipped || !rollback.left.is_empty();
                        assert_eq!(*ending == Ending::RolledBackInPart, part);
                    }
                    other => panic!("{other:?}"),
                }
            }
            Event::Ticked { step, attempt, item, on, .. } => {
                let (outline, run) = state.step(step).unwrap();
                let attempt = run.attempt(*attempt).unwrap();
                let leg = attempt.what.leg();
                assert!(attempt.alive() && attempt.intended && attempt.owner_done.is_none());
                assert!(*item < outline.hands(leg).unwrap().checklist.len());
                assert_eq!(run.leg(leg).unwrap().ticks.contains_key(item), !on, "ticked twice");
            }
            Event::OwnerSaidDone { step, attempt, unticked, reason, .. } => {
                let (_, run) = state.step(step).unwrap();
                let leg = run.attempt(*attempt).unwrap().what.leg();
                let left = state.unticked(state.position(step).unwrap(), leg).len();
                assert_eq!(unticked.len(), left, "{step}");
                assert!(left == 0 || reason.is_some(), "{step} done over {left} without a reason");
            }
            Event::Voted { step, who, .. } => {
                let (outline, run) = state.step(step).unwrap();
                assert!(!self.ended && run.forward.state == StepState::AtStopPoint, "a vote on {step} counts late");
                assert!(!run.forward.gone, "a vote on {step} after its go");
                assert!(outline.stop.as_ref().unwrap().voters.contains(who), "{who} was not asked");
            }
            Event::Asked { step, .. } => assert!(!self.ended && !state.blocked(), "{step} asks while blocked"),
            Event::Settled { .. } | Event::NoReturnCrossed { .. } | Event::WatchBegan { .. } => assert!(!self.ended),
            _ => {}
        }
    }
}

struct Rig {
    state: RunState,
    judge: Judge,
    now: u64,
    figures: Option<(Timing, bool)>,
}

impl Rig {
    fn new(outline: Outline, auto_go: bool) -> Self {
        let judge = Judge {
            seq: 0,
            folded: RunState::default(),
            envelopes: Vec::new(),
            intents: HashMap::new(),
            licences: HashMap::new(),
            ended: false,
        };
        let mut rig = Self { state: RunState::default(), judge, now: 0, figures: None };
        rig.put(Input::Open(Box::new(opened(outline, auto_go)))).unwrap();
        rig
    }

    fn put(&mut self, input: Input) -> Result<Vec<Event>, Refusal> {
        let now = at(self.now);
        let before = self.state.clone();
        let resume = matches!(input, Input::Resume(_));
        let open: Vec<(StepId, Leg)> = before
            .outlines()
            .iter()
            .zip(&before.steps)
            .flat_map(|(o, run)| run.attempts.iter().map(move |a| (o.id.clone(), a)))
            .filter(|(_, a)| a.alive() && a.intended && a.what.acts())
            .map(|(id, a)| (id, a.what.leg()))
            .collect();
        let answer = handle(&mut self.state, input.clone(), now);
        if let Input::Person { intent: Intent::Vote { step, opening: Some(seen), .. }, .. } = &input {
            let opening = before.step(step).map(|(_, run)| run.opening);
            assert!(answer.is_err() || opening == Some(*seen), "a vote for opening {seen} counts for {opening:?}");
        }
        match &answer {
            Err(refusal) => assert_eq!(self.state, before, "{refusal} changed something"),
            Ok(events) => {
                assert!(events.len() < 200, "{} events of one input", events.len());
                for event in events {
                    self.judge.sees(event, now);
                }
                if resume {
                    for (step, leg) in &open {
                        let probe = if *leg == Leg::Forward { What::Probe } else { What::ProbeUndo };
                        let started: Vec<What> = events
                            .iter()
                            .filter_map(|e| match e {
                                Event::AttemptStarted { step: s, what, .. } if s == step => Some(*what),
                                _ => None,
                            })
                            .collect();
                        // On the way back the way forward is no question any more.
                        let wanted: &[What] =
                            if before.rollback.is_some() && *leg == Leg::Forward { &[] } else { &[probe] };
                        assert_eq!(started, wanted, "{step} in doubt");
                    }
                }
            }
        }
        assert_eq!(self.judge.folded, self.state, "the journal tells another story after {input:?}");
        // It ended where nothing follows. A refusal adds nothing, so what has fallen due since waits on.
        if answer.is_ok() {
            let mut again = self.state.clone();
            let more = handle(&mut again, Input::Due, now).unwrap();
            assert_eq!(more, [], "something was left to follow after {input:?}");
        }
        self.automatic(now);
        self.timing(now);
        answer
    }

    /// What `--auto-go` would say is never refused, but for criteria that have grown old.
    fn automatic(&self, now: Stamp) {
        let mut state = self.state.clone();
        state.auto_go = true;
        if let Some((who, intent)) = auto_answer(&state) {
            let typed_by = state.operator.clone().unwrap();
            let answer = handle(&mut state, Input::Person { who, typed_by, intent: intent.clone() }, now);
            assert!(matches!(answer, Ok(_) | Err(Refusal::CriteriaPending(_))), "{intent:?}: {answer:?}");
        }
    }

    fn timing(&mut self, now: Stamp) {
        let figures = Timing::of(&self.state, now).unwrap();
        assert_eq!(figures.bar.state == BarState::Closed, self.state.crossed.is_some());
        for (i, step) in figures.steps.iter().enumerate() {
            assert!(step.starts <= step.ends, "{step:?}");
            for leg in [Leg::Forward, Leg::Back] {
                let Some(leg) = self.state.steps[i].leg(leg) else { continue };
                assert!(leg.worked + leg.waited <= Duration::from_millis(now.elapsed.0), "{leg:?}");
            }
            assert!(step.actual.unwrap_or_default() + step.waited <= Duration::from_millis(now.elapsed.0));
        }
        for clock in [figures.freeze, figures.downtime] {
            assert!(clock.used <= Duration::from_millis(now.elapsed.0));
        }
        // Time alone makes nothing earlier.
        let later = Timing::of(&self.state, at(self.now + 7_000)).unwrap();
        assert!(later.forecast.end >= figures.forecast.end && later.forecast.late_ms >= figures.forecast.late_ms);
        assert_eq!(later.planned_end, figures.planned_end);
        if let Some((before, crossed)) = &self.figures {
            assert_eq!(before.planned_end, figures.planned_end);
            assert!(figures.freeze.used >= before.freeze.used && figures.downtime.used >= before.downtime.used);
            assert!(!crossed || figures.bar.state == BarState::Closed, "the bar opened again");
        }
        let crossed = self.state.crossed.is_some();
        self.figures = Some((figures, crossed));
    }

    /// One input, chosen by numbers; mostly something that fits the moment.
    fn step(&mut self, a: u8, b: u8, c: u8) {
        let names: Vec<StepId> = self.state.outlines().iter().map(|step| step.id.clone()).collect();
        let any_step = || names[usize::from(b) % names.len()].clone();
        let asked = self.state.asking().map_or_else(any_step, |(i, _)| names[i].clone());
        let step = if c.is_multiple_of(5) { any_step() } else { asked };
        let person = who(["mira", "dana", "sam", "eve"][usize::from(if c == 255 { 3 } else { b % 3 })]);
        let word = |right: &str| if c % 11 == 10 { "oops".to_owned() } else { right.to_owned() };
        let reason = if c.is_multiple_of(3) { None } else { Some("because".to_owned()) };
        let says = |intent| Input::Person { who: person.clone(), typed_by: who("mira"), intent };
        self.now += [0, 1, 500, 3_000, 70_000][usize::from(c) % 5];
        let input = match a % 40 {
            0..=13 => self.report(b, c),
            14 => says(go_with(&step, word("go"), reason)),
            15 => says(Intent::NoGo { step, typed: word("no-go"), reason }),
            16 => {
                // From the run's own terminal, or from another one that saw this opening of the question or an older.
                let run = self.state.step(&step).map(|(_, run)| run.opening);
                let seen = run.map(|opening| opening.saturating_sub(u32::from(c % 7 < 3)));
                let opening = seen.filter(|_| !c.is_multiple_of(3));
                let via = opening.map(|_| via(["pts/1", "pts/2"][usize::from(c) % 2]));
                says(Intent::Vote { step, go: !c.is_multiple_of(4), reason, opening, via })
            }
            17 | 18 => {
                let back = self.state.rollback.is_some();
                says(Intent::Confirm { step, typed: word(if back { "undo" } else { WORD }) })
            }
            19 if c.is_multiple_of(2) => {
                says(Intent::Tick { step, item: usize::from(b % 4), on: !c.is_multiple_of(3) })
            }
            19 => {
                let (step, value) = (any_step(), reason.clone());
                says(Intent::OwnerDone { step, value, reason })
            }
            20 | 21 => says(Intent::Retry { step, typed: word("retry"), reason }),
            22 => says(Intent::ByHand { step, reason: reason.unwrap_or_default() }),
            23 => says(Intent::Skip { step, typed: word("skip"), reason: reason.unwrap_or_default() }),
            24 if c < 100 => says(Intent::RollBack { typed: word("rollback"), reason }),
            25 if c < 20 => says(Intent::Abort { typed: word("abort"), reason }),
            26 => says(Intent::Hold),
            27..=29 => says(Intent::Release { typed: word("go") }),
            30 | 31 => {
                let round = self.state.step(&step).map_or(0, |(_, run)| run.round) + u32::from(c == 77);
                let result =
                    if c.is_multiple_of(4) { Err(Failure::new(Class::NotYet, "red")) } else { Ok(Seen::new("green")) };
                Input::Criterion { step, round, index: usize::from(b % 3), result }
            }
            32 | 33 => {
                let value =
                    [None, Some(0.1 + f64::from(c)), Some(f64::NAN), Some(1.0 / f64::from(c))][usize::from(b) % 4];
                let ok = [Some(true), Some(false), None][usize::from(c) % 3];
                let watch: WatchId = format!("w{}", b % 3).parse().unwrap();
                Input::Watch { watch, sample: Sample { ok, value, line: "seen".into() } }
            }
            34 => Input::Resume(Resumed { auto_go: c.is_multiple_of(7), ..resumed() }),
            35 => Input::ClockJump { wall_ms: i64::from(c) * 1000, slept: Duration::from_secs(c.into()) },
            36 if c.is_multiple_of(3) => Input::Hold(
                [HoldWhy::TerminalLost, HoldWhy::JournalFailed("full".into())][usize::from(c > 200)].clone(),
            ),
            37 => says(Intent::Note { text: word("a word"), step: Some(step), via: None }),
            38 => Input::Torn { bytes: c.into(), kept_as: "tear-1".into() },
            39 if c == 9 => Input::Open(Box::new(opened(outline(vec![]), true))),
            _ => Input::Due,
        };
        let _refused = self.put(input);
    }

    fn report(&self, b: u8, c: u8) -> Input {
        let wanted = self.state.wanted();
        let Some(one) = wanted.get(usize::from(b) % wanted.len().max(1)) else {
            let step = self.state.outlines()[usize::from(b) % self.state.steps.len()].id.clone();
            return Input::Report { step, attempt: u32::from(c) % 4, report: done() };
        };
        let (outline, run) = self.state.step(&one.step).unwrap();
        let intended = run.attempt(one.attempt).unwrap().intended;
        let probe = matches!(one.what, What::Probe | What::ProbeUndo);
        let acts = one.what.acts() && outline.changes && !intended;
        let classes = [
            Class::NotYet,
            Class::Refused,
            Class::Denied,
            Class::Misconfigured,
            Class::FailedNothingDone,
            Class::Failed,
            Class::Unknown,
        ];
        let report = match c % 16 {
            0 => Report::Line("working".into()),
            1 => Report::Progress { percent: c % 101, text: "half".into() },
            2..=4 => failed(classes[usize::from(b) % 7]),
            5 => ready(json!({ "ttl": 0.1 * f64::from(c) / 3.0 })),
            6 => Report::Found(Finding::Done(Done::new("there").with(json!([1.0 / f64::from(c)])))),
            7 => done(),
            _ if probe => [
                found_not_done(),
                Report::Found(Finding::Unclear { line: "half".into() }),
                Report::Found(Finding::Done(Done::new("there"))),
            ][usize::from(b) % 3]
                .clone(),
            _ if acts => ready(json!({ "was": c })),
            _ => done(),
        };
        // Some reports come from attempts that are over.
        let attempt = if c == 200 { one.attempt - 1 } else { one.attempt };
        Input::Report { step: one.step.clone(), attempt, report }
    }
}

fn go_with(step: &StepId, typed: String, reason: Option<String>) -> Intent {
    Intent::Go { step: step.clone(), typed, reason }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 4000, ..ProptestConfig::default() })]

    #[test]
    fn every_sequence_keeps_what_was_promised(plan in plans(), inputs in vec(any::<(u8, u8, u8)>(), 1..120)) {
        let mut rig = Rig::new(plan, false);
        for (a, b, c) in inputs {
            rig.step(a, b, c);
        }
        // All at once, and in two parts with the journal closed between them, is the same as one by one.
        let envelopes = &rig.judge.envelopes;
        let half = envelopes.len() / 2;
        let mut folded = RunState::default();
        for part in [&envelopes[..half], &envelopes[half..]] {
            let kept: Vec<u8> = part.iter().flat_map(|e| [e.encode().unwrap(), b"\n".to_vec()].concat()).collect();
            for line in kept.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
                let envelope = Envelope::decode(line).unwrap();
                folded.evolve(&envelope.event, envelope.stamp());
            }
        }
        prop_assert_eq!(folded, rig.state);
    }

    #[test]
    fn an_automatic_rehearsal_in_which_all_succeeds_ends_completed(plan in plans()) {
        let mut plan = plan;
        plan.env.kind = EnvKind::Sandbox;
        let mut rig = Rig::new(plan, true);
        for _ in 0..2_000 {
            if rig.state.ended.is_some() {
                break;
            }
            rig.now += 500;
            if let Some((name, intent)) = auto_answer(&rig.state) {
                let typed_by: PersonId = rig.state.operator.clone().unwrap();
                rig.put(Input::Person { who: name, typed_by, intent }).unwrap();
            } else if let Some(wanted) = rig.state.wanted_criteria().first() {
                for index in 0..rig.state.step(&wanted.step).unwrap().1.criteria.len() {
                    let result = Ok(Seen::new("green"));
                    let _next_round = rig.put(Input::Criterion { step: wanted.step.clone(), round: wanted.round, index, result });
                }
            } else {
                let wanted = rig.state.wanted();
                prop_assert!(!wanted.is_empty(), "nothing runs and nobody is asked: {:?}", rig.state);
                let (outline, run) = rig.state.step(&wanted[0].step).unwrap();
                let intended = run.attempt(wanted[0].attempt).unwrap().intended;
                let acts = outline.changes && outline.treatment == Treatment::Do;
                let report = if acts && !intended { ready(Json::Null) } else { done() };
                rig.put(Input::Report { step: wanted[0].step.clone(), attempt: wanted[0].attempt, report }).unwrap();
            }
        }
        let partial = rig.state.outline.as_ref().unwrap().partial();
        let whole = if partial { Ending::WithExceptions } else { Ending::Completed };
        prop_assert_eq!(rig.state.ended, Some(whole));
    }
}

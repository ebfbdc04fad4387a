//! The proof: with the policy that the verb prints in force, the whole night goes through, there and back, and
//! nothing is refused; and of everything that it allows something was used that nothing else in it allows.

use std::{collections::BTreeSet, time::Duration};

use gonogo::{
    kinds::ALL,
    run::Ending,
    sandbox::{Authorization, Verdict},
};
use serde_json::Value as Json;
use tokio::task::JoinSet;

use super::{
    allows,
    night::{Book, Night, live},
    pairs, policy_of, printed,
};

const SHIPPED: &str = include_str!("../../../runbooks/heroku-to-aws.toml");

/// What is asked only when something goes wrong.
struct OnlyWhen {
    action: &'static str,
    /// By which it does.
    faults: &'static [&'static str],
    /// A check that will never be satisfied looks no longer than that; it asks at its first look.
    at_most: Option<Duration>,
    /// Why, for who reads this.
    _why: &'static str,
}

const fn only_when(action: &'static str, faults: &'static [&'static str], why: &'static str) -> OnlyWhen {
    OnlyWhen { action, faults, at_most: None, _why: why }
}

const ONLY_WHEN: &[OnlyWhen] = &[
    only_when(SCALING, &["ecs.autoscaler:once"], "a count that somebody changes: was it autoscaling?"),
    OnlyWhen {
        at_most: Some(Duration::from_secs(20)),
        ..only_when(
            "cloudformation:DescribeStackResourceDrifts",
            &["cloudformation.drifted"],
            "a stack that has drifted: in which resources",
        )
    },
    only_when("ecs:DescribeTasks", FAILS, "a deployment that failed is explained by its stopped tasks"),
    only_when("ecs:ListTasks", FAILS, "a deployment that failed is explained by its stopped tasks"),
];

const SCALING: &str = "application-autoscaling:DescribeScalingActivities";
const FAILS: &[&str] = &["ecs.deploy:always"];

/// Kinds whose example needs AWS and cannot be proved in the sandbox, and why.
const UNPROVABLE: &[(&str, &str)] = &[];

fn denied(authorizations: &[Authorization]) -> Vec<&Authorization> {
    authorizations.iter().filter(|it| !matches!(it.verdict, Verdict::Allowed(_))).collect()
}

/// The pairs without which something that was asked would have been refused.
fn wanted(pairs: &[(String, String)], asked: &[Authorization]) -> BTreeSet<usize> {
    let by_one = |it: &Authorization| {
        let mut by = (0..pairs.len()).filter(|i| allows(&pairs[*i], (&it.action, &it.resource)));
        by.next().filter(|_| by.next().is_none())
    };
    asked.iter().filter_map(by_one).collect()
}

/// A night of a runbook in which these go wrong.
async fn gone_wrong(text: &str, policy: &Json, only: &OnlyWhen) -> Night {
    let book = Book { faults: Some(only.faults), at_most: only.at_most, ..Book::new(text, Some("")) };
    live(book, policy).await
}

/// What is wrong with the policy of a runbook; empty where it is proved. The nights of `turns` are lived through,
/// there or back before a step; those in which things go wrong where that is the only way to an action.
async fn prove(name: &str, text: &str, turns: &[Option<&str>], surely: &[&str]) -> Vec<String> {
    let policy = printed(text, "sandbox");
    let pairs = pairs(&policy);
    if pairs.is_empty() {
        return Vec::new();
    }
    let mut wrong = Vec::new();
    let mut asked: Vec<Authorization> = Vec::new();
    // Side by side: they mostly wait.
    let (early, late): (Vec<_>, Vec<_>) = ONLY_WHEN.iter().partition(|only| surely.contains(&only.action));
    let nights = turns.iter().map(|back_before| live(Book::new(text, *back_before), &policy));
    let early = early.into_iter().map(|only| gone_wrong(text, &policy, only));
    let (nights, early) =
        futures_util::future::join(futures_util::future::join_all(nights), futures_util::future::join_all(early)).await;
    for (back_before, night) in turns.iter().zip(nights) {
        let expected = match back_before {
            None => night.ending == Ending::Completed && night.failures.is_empty(),
            Some(_) => {
                let back = [Ending::RolledBack, Ending::RolledBackInPart, Ending::Aborted].contains(&night.ending);
                back && night.failures.iter().all(|failure| failure.starts_with("no-further: "))
            }
        };
        if !expected {
            wrong
                .push(format!("{name}: back before {back_before:?} it ended {:?}: {:?}", night.ending, night.failures));
        }
        wrong.extend(denied(&night.authorizations).into_iter().map(|it| format!("{name}: not enough: {it:?}")));
        asked.extend(night.authorizations);
    }
    let unused = |asked: &[Authorization]| -> Vec<(String, String)> {
        let wanted = wanted(&pairs, asked);
        (0..pairs.len()).filter(|i| !wanted.contains(i)).map(|i| pairs[i].clone()).collect()
    };
    asked.extend(early.iter().flat_map(|night| night.authorizations.clone()));
    let left = unused(&asked);
    let mut late: Vec<_> =
        late.into_iter().filter(|only| left.iter().any(|(action, _)| action == only.action)).collect();
    // One such night shows several of them.
    late.dedup_by_key(|only| only.faults);
    let late = futures_util::future::join_all(late.into_iter().map(|only| gone_wrong(text, &policy, only))).await;
    asked.extend(late.iter().flat_map(|night| night.authorizations.clone()));
    for night in early.iter().chain(&late) {
        let refused = denied(&night.authorizations);
        wrong.extend(refused.into_iter().map(|it| format!("{name}, gone wrong: not enough: {it:?}")));
    }
    let told = |(action, resource)| format!("{name}: not needed: {action} on {resource}");
    wrong.extend(unused(&asked).into_iter().map(told));
    println!(
        "{name}: {} permissions, {} authorisations of {} kinds",
        pairs.len(),
        asked.iter().map(|it| it.times).sum::<u64>(),
        asked.len()
    );
    wrong
}

/// Nights at once: they mostly wait.
const AT_ONCE: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_of_every_kind() {
    let mut wrong = Vec::new();
    let mut nights = JoinSet::new();
    for kind in ALL {
        if UNPROVABLE.iter().any(|(name, _)| *name == kind.name) {
            assert!(!printed(kind.example, "sandbox").is_null(), "{} needs nothing of AWS", kind.name);
            continue;
        }
        if nights.len() >= AT_ONCE {
            wrong.extend(nights.join_next().await.unwrap().unwrap());
        }
        nights.spawn(prove(kind.name, kind.example, &[Some("")], &[]));
    }
    for more in nights.join_all().await {
        wrong.extend(more);
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shipped_night_there_and_back() {
    // Waiting until the old TTL has run out is a third of the night and needs nothing of AWS.
    let wait = r#"{ kind = "dns.wait_ttl", after = "lower-ttl" }"#;
    assert_eq!(SHIPPED.matches(wait).count(), 1);
    let hurried = SHIPPED.replace(wait, r#"{ kind = "wait", for = "1s" }"#);
    assert_eq!(printed(&hurried, "sandbox"), printed(SHIPPED, "sandbox"));
    let wrong = prove("heroku-to-aws", &hurried, &[None, Some("dns-seen")], &[SCALING]).await;
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// The proof can fail: a night in which each permission in turn is missing is refused at that one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_one_of_them_something_is_refused() {
    let example = gonogo::kinds::find("route53.set_ttl").unwrap().example;
    let all = pairs(&printed(example, "sandbox"));
    assert!(all.len() >= 3, "{all:?}");
    let mut nights = JoinSet::new();
    for i in 0..all.len() {
        let mut left = all.clone();
        let missing = left.remove(i);
        nights.spawn(async move {
            let night = live(Book::new(example, Some("")), &policy_of(&left)).await;
            let refused = denied(&night.authorizations);
            assert!(!refused.is_empty(), "nothing was refused without {missing:?}");
            assert!(refused.iter().all(|it| allows(&missing, (&it.action, &it.resource))), "{refused:?}");
            let hint = format!("the role in use needs the permission {} on {}", missing.0, refused[0].resource);
            assert!(night.failures.iter().any(|failure| failure.contains(&hint)), "{:?}", night.failures);
        });
    }
    nights.join_all().await;
}

/// A policy with something to spare, and one with too little, are seen by the proof itself.
#[test]
fn what_is_unused_and_what_is_missing_are_seen() {
    let pair = |action: &str, resource: &str| (action.to_owned(), resource.to_owned());
    let asked = |action: &str, resource: &str, verdict| Authorization {
        action: action.into(),
        resource: resource.into(),
        verdict,
        times: 1,
    };
    let pairs = [pair("s:A", "*"), pair("s:B", "arn:x/*"), pair("s:B", "arn:x/1"), pair("s:C", "*")];
    let yes = Verdict::Allowed("#1".into());
    let seen = [asked("s:A", "*", yes.clone()), asked("s:B", "arn:x/1", yes.clone()), asked("s:B", "arn:x/2", yes)];
    assert_eq!(wanted(&pairs, &seen), BTreeSet::from([0, 1]), "what something broader allows is not wanted");
    assert_eq!(denied(&[asked("s:A", "*", Verdict::NotAllowed)]).len(), 1);
    assert_eq!(denied(&[asked("s:A", "*", Verdict::Denied("#1".into()))]).len(), 1);
    assert_eq!(policy_of(&pairs)["Statement"].as_array().map(Vec::len), Some(4));
    assert_eq!(pairs_of(&policy_of(&pairs[..1])), 1);
}

fn pairs_of(policy: &Json) -> usize {
    policy["Statement"].as_array().unwrap().iter().filter(|it| it["Effect"] == "Allow").count()
}

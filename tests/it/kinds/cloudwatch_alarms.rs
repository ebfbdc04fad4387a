//! `cloudwatch.alarms` at the sandbox, whose alarms are evaluated, against moto, whose alarms stay as they are put,
//! and against a played CloudWatch for ages and pages.

use gonogo::{
    base::{Class, Failure},
    plan::{Permission, Seen},
};

use super::{
    aws::{Answer, Proxy, Spoil, at, check, minute, mistakes, nobody, play, services},
    ends::{Case, End, aws, contract},
};
use crate::moto;

const KIND: &str = "cloudwatch.alarms";

/// Puts an alarm at moto, where it is OK from the first moment on, and sets its state.
async fn put(name: &str, state: &str) {
    let form = |action: &str| format!("Action={action}&Version=2010-08-01&AlarmName={name}");
    let rest = "MetricName=m&Namespace=N&Statistic=Sum&Period=60&EvaluationPeriods=1&Threshold=1&ComparisonOperator=GreaterThanThreshold";
    moto::query("monitoring", &format!("{}&{rest}", form("PutMetricAlarm"))).await;
    let set = format!("{}&StateValue={state}&StateReason=because", form("SetAlarmState"));
    moto::query("monitoring", &set).await;
}

async fn case(end: End) -> Case {
    let there = aws(end).await;
    let bad = ("alarms = []", "[]");
    if end == End::Moto {
        let n = fastrand::u32(..);
        put(&format!("good-{n}"), "OK").await;
        put(&format!("bad-{n}"), "ALARM").await;
        let text = format!("alarms = [\"good-{n}\"]");
        return Case::aws(&there, text, bad).not_so(format!("alarms = [\"bad-{n}\", \"good-{n}\"]"));
    }
    Case::aws(&there, "prefix = \"acme-\"\nstates_held = \"1h\"", bad)
        .not_so("prefix = \"acme-\"\nstates_held = \"48h\"")
}

contract!(KIND, case; sandbox: Sandbox, moto: Moto);

#[tokio::test]
async fn it_reads_moto_by_name_arn_and_prefix() {
    let n = fastrand::u32(..);
    let name = |kind: &str| format!("{kind}-{n}");
    for (kind, state) in [("a", "OK"), ("b", "ALARM"), ("c", "INSUFFICIENT_DATA")] {
        put(&name(kind), state).await;
    }
    let proxy = Proxy::new(moto::endpoint(), "", Spoil::Nothing).await;
    let look = async |text: &str| check(KIND, text, &at(&proxy.endpoint)).check(&minute()).await;
    let arn = format!("arn:aws:cloudwatch:eu-west-1:123456789012:alarm:{}", name("a"));
    let seen = look(&format!("alarms = [\"{arn}\"]")).await.unwrap();
    assert!(seen.line.starts_with(&format!("{} is OK", name("a"))), "{seen:?}");
    let both = look(&format!("alarms = [\"{}\", \"{}\"]", name("a"), name("b"))).await.unwrap_err();
    assert_eq!((both.class, both.message), (Class::NotYet, format!("1 of 2 alarms is not OK: {}", name("b"))));
    assert!(both.causes[0].ends_with("because"), "{:?}", both.causes);
    let silent = look(&format!("prefix = \"{}\"", name("c"))).await.unwrap_err();
    assert_eq!(silent.message, format!("no data: 1 of 1 alarms is INSUFFICIENT_DATA: {}", name("c")));
    look(&format!("prefix = \"{}\"\ninsufficient_ok = true", name("c"))).await.unwrap();
    for missing in [format!("alarms = [\"{}\", \"nobody\"]", name("a")), "prefix = \"nobody\"".to_owned()] {
        let failure = look(&missing).await.unwrap_err();
        assert_eq!(failure.class, Class::Misconfigured, "{failure}");
        assert!(failure.message.contains("nobody") && failure.hint.is_some(), "{failure:?}");
    }
    assert_eq!(proxy.changes(), 0);
}

#[tokio::test]
async fn a_composite_alarm_is_one_too() {
    let there = aws(End::Sandbox).await;
    let look = async |text: &str| check(KIND, text, &services(there.env.clone())).check(&minute()).await;
    let seen = look("alarms = [\"acme-shop\", \"acme-5xx\"]").await.unwrap();
    assert!(seen.line.starts_with("2 alarms are OK, last change 24h0"), "{}", seen.line);
    assert_eq!(seen.evidence["alarms"][1]["composite"], true);
    let missing = look("alarms = [\"acme-5xx\", \"acme-5xxx\"]").await.unwrap_err();
    assert_eq!((missing.class, missing.message.as_str()), (Class::Misconfigured, "there is no alarm acme-5xxx"));
}

fn alarm(name: &str, state: &str, since_s: i64, actions: bool) -> String {
    let at = |s| (chrono::Utc::now() - chrono::Duration::seconds(s)).to_rfc3339();
    format!(
        "<member><AlarmName>{name}</AlarmName><StateValue>{state}</StateValue><StateReason>why</StateReason><ActionsEnabled>{actions}</ActionsEnabled>\
         <StateUpdatedTimestamp>{}</StateUpdatedTimestamp><StateTransitionedTimestamp>{}</StateTransitionedTimestamp></member>",
        at(1),
        at(since_s)
    )
}

fn answer(alarms: &str, more: &str) -> Answer {
    Answer::xml(format!(
        "<R><DescribeAlarmsResult><MetricAlarms>{alarms}</MetricAlarms>{more}</DescribeAlarmsResult></R>"
    ))
}

async fn look(alarms: String, rest: &str) -> Result<Seen, Failure> {
    let endpoint = play(move |_| answer(&alarms, "")).await;
    check(KIND, &format!("prefix = \"a\"\n{rest}"), &at(&endpoint)).check(&minute()).await
}

#[tokio::test]
async fn the_state_is_as_old_as_its_last_change() {
    // Updated a second ago, but OK for five minutes.
    look(alarm("a", "OK", 300, true), "states_held = \"2m\"").await.unwrap();
    let young = look(format!("{}{}", alarm("a", "OK", 300, true), alarm("ab", "OK", 65, true)), "states_held = \"2m\"");
    let young = young.await.unwrap_err();
    assert_eq!((young.class, young.message.as_str()), (Class::NotYet, "ab is OK for 1m05, wanted 2m00"));
    let bare = alarm("a", "OK", 0, true).split("<StateUpdated").next().unwrap().to_owned() + "</member>";
    look(bare.clone(), "").await.unwrap();
    let unknown = look(bare, "states_held = \"1s\"").await.unwrap_err();
    assert!(unknown.message.contains("nobody knows how long"), "{unknown}");
    let silent = look(alarm("a", "OK", 300, false), "").await.unwrap();
    assert!(silent.line.ends_with("actions are off, nobody is paged: a"), "{}", silent.line);
}

#[tokio::test]
async fn what_is_worse_than_no_data_is_not_hidden_by_it() {
    let two = format!("{}{}", alarm("a", "INSUFFICIENT_DATA", 9, true), alarm("ab", "ALARM", 9, true));
    let failure = look(two, "").await.unwrap_err();
    assert_eq!(failure.message, "2 of 2 alarms are not OK: a, ab");
    let odd = look(alarm("a", "", 9, true), "insufficient_ok = true").await.unwrap_err();
    assert_eq!(odd.class, Class::NotYet, "a state that nobody knows is not OK");
}

#[tokio::test]
async fn pages_are_followed_to_the_end_and_not_for_ever() {
    let endpoint = play(|asked| {
        assert!(asked.body.contains("AlarmTypes.member.2=CompositeAlarm"), "{}", asked.body);
        match asked.body.contains("NextToken=more") {
            true => answer(&alarm("ab", "ALARM", 9, true), ""),
            false => answer(&alarm("a", "OK", 9, true), "<NextToken>more</NextToken>"),
        }
    })
    .await;
    let failure = check(KIND, "prefix = \"a\"", &at(&endpoint)).check(&minute()).await.unwrap_err();
    assert_eq!(failure.message, "1 of 2 alarms is not OK: ab");
    let endless = play(|_| answer(&alarm("a", "OK", 9, true), "<NextToken>more</NextToken>")).await;
    let failure = check(KIND, "prefix = \"a\"", &at(&endless)).check(&minute()).await.unwrap_err();
    assert_eq!((failure.class, failure.message.as_str()), (Class::NotYet, "no data: more than 50 pages of alarms"));
}

#[tokio::test]
async fn could_not_look_is_not_not_yet() {
    let failure = check(KIND, "prefix = \"a\"", &at(&nobody().await)).check(&minute()).await.unwrap_err();
    assert_eq!(failure.class, Class::FailedNothingDone);
    assert_eq!(mistakes(KIND, "prefix = ''")[0].0, "''");
    assert_eq!(mistakes(KIND, "alarms = ['a']\nprefix = 'b'")[0].0, "'b'");
    assert_eq!(mistakes(KIND, "")[0].1, "`cloudwatch.alarms` needs `alarms` or a `prefix`");
    let needs = check(KIND, "prefix = \"a\"", &at("http://127.0.0.1:9")).needs();
    assert_eq!(needs, [Permission::anywhere("cloudwatch:DescribeAlarms")]);
}

//! `cloudwatch.metric` at the sandbox (expressions, percentiles, searches), against moto (which has neither, and
//! counts its periods from the question's start) and against a played CloudWatch for what neither shows.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use gonogo::{
    base::{Class, Failure},
    plan::{Permission, Seen},
};

use super::{
    aws::{Answer, Proxy, Spoil, at, check, minute, mistakes, nobody, play, services},
    ends::{Case, End, aws, aws_with, contract},
};
use crate::moto;

const KIND: &str = "cloudwatch.metric";

/// moto forgets the namespace where dimensions are given, so that they have to tell the tests apart.
fn params(namespace: &str, rest: &str) -> String {
    format!("namespace = \"{namespace}\"\nmetric = \"share\"\ndimensions = {{ service = \"{namespace}\" }}\n{rest}")
}

/// Start of the minute that is `n` whole minutes before the current one.
fn minutes_ago(n: i64) -> DateTime<Utc> {
    let start = Utc::now().timestamp() / 60 * 60 - n * 60;
    DateTime::from_timestamp(start, 0).unwrap()
}

fn iso(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

async fn put(namespace: &str, values: &[(DateTime<Utc>, f64)]) {
    let name = namespace.replace('/', "%2F");
    let mut form = format!("Action=PutMetricData&Version=2010-08-01&Namespace={name}");
    for (n, (at, value)) in values.iter().enumerate() {
        let at = iso(*at).replace(':', "%3A");
        let datum = format!("MetricData.member.{}", n + 1);
        form += &format!(
            "&{datum}.MetricName=share&{datum}.Value={value}&{datum}.Timestamp={at}&{datum}.Dimensions.member.1.Name=service&{datum}.Dimensions.member.1.Value={name}"
        );
    }
    moto::query("monitoring", &form).await;
}

/// The visitors' numbers of the last seconds.
const VISITORS: &str =
    "namespace = \"Acme/Visitors\"\ndimensions = { Host = \"shop.acme.example\" }\nperiod = \"1s\"\nwindow = \"4s\"\n";

async fn case(end: End) -> Case {
    let there = aws(end).await;
    let bad = ("namespace = 'n'\nmetric = 'm'\nmax = 1\nperiod = '45s'", "'45s'");
    if end == End::Sandbox {
        let text = format!("{VISITORS}metric = \"5xxShare\"\nmax = 1.0\n");
        let not_so = format!("{VISITORS}metric = \"OldOriginShare\"\nmax = 1.0\n");
        return Case::aws(&there, text, bad).not_so(not_so);
    }
    let namespace = format!("Acme/{}", fastrand::u32(..));
    put(&namespace, &[(minutes_ago(2), 0.5)]).await;
    let text = params(&namespace, "");
    Case::aws(&there, format!("{text}max = 1"), bad).not_so(format!("{text}max = 0.4"))
}

contract!(KIND, case; sandbox: Sandbox, moto: Moto);

#[tokio::test]
async fn it_reads_moto_and_no_data_is_never_green() {
    let namespace = format!("Acme/{}", fastrand::u32(..));
    let proxy = Proxy::new(moto::endpoint(), "", Spoil::Nothing).await;
    let look = async |rest: &str| check(KIND, &params(&namespace, rest), &at(&proxy.endpoint)).check(&minute()).await;
    let none = look("max = 1.0").await.unwrap_err();
    assert_eq!((none.class, none.message.as_str()), (Class::NotYet, "no data in the last 5m00"));
    // moto counts its periods from StartTime: only a window that begins at a multiple of the period agrees with AWS.
    put(&namespace, &[(minutes_ago(2) + TimeDelta::seconds(59), 0.25), (minutes_ago(3), 0.5)]).await;
    let seen = look("max = 1.0").await.unwrap();
    assert_eq!((seen.value, seen.evidence["samples"].as_i64()), (Some(0.5), Some(2)));
    assert!(
        seen.line.starts_with("worst 0.5 of 2 samples, newest 1m") && seen.line.ends_with("old; wanted at most 1"),
        "{}",
        seen.line
    );
    look("min = 0.25\nmax = 0.5\nstat = \"Sum\"").await.unwrap();
    for bad in ["max = 0.4", "min = 0.3", "max = 1\nmin_samples = 3"] {
        assert_eq!(look(bad).await.unwrap_err().class, Class::NotYet, "{bad}");
    }
    // What is newer than the delay is not complete and not judged.
    put(&namespace, &[(Utc::now(), 9.0)]).await;
    assert_eq!(look("max = 1.0").await.unwrap().value, Some(0.5));
    let now = async || look("max = 1.0\ndelay = \"0s\"\nperiod = \"1s\"\nwindow = \"5m\"\nmax_age = \"9m\"").await;
    let failure = loop {
        match now().await {
            Ok(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(failure) => break failure,
        }
    };
    assert!(failure.message.starts_with("worst 9, 0m0"), "{failure}");
    assert_eq!(proxy.changes(), 0);
}

#[tokio::test]
async fn the_sandbox_works_expressions_out() {
    let there = aws(End::Sandbox).await;
    let look = async |text: &str| {
        let check = check(KIND, text, &services(there.env.clone()));
        let cx = minute();
        cx.poll(Duration::from_millis(200), || check.check(&cx)).await
    };
    let host = "dimensions = { Host = \"shop.acme.example\" }";
    let metrics = format!(
        "metrics = [\n{{ id = \"errors\", namespace = \"Acme/Visitors\", metric = \"Errors\", {host}, stat = \"Sum\" }},\n\
         {{ id = \"all\", namespace = \"Acme/Visitors\", metric = \"Requests\", {host}, stat = \"Sum\" }}]"
    );
    let fine = "period = \"1s\"\nwindow = \"4s\"\nmin_samples = 2";
    // There are no errors, so there is no metric of them: only FILL has something to divide.
    let share =
        look(&format!("{metrics}\nexpression = \"100 * FILL(errors, 0) / all\"\nmax = 1\n{fine}")).await.unwrap();
    assert_eq!((share.value, share.evidence["series"].as_i64()), (Some(0.0), Some(1)));
    let bare = format!("{metrics}\nexpression = \"100 * errors / all\"\nmax = 1\n{fine}");
    let failure = check(KIND, &bare, &services(there.env.clone())).check(&minute()).await.unwrap_err();
    assert_eq!((failure.class, failure.message.as_str()), (Class::NotYet, "no data in the last 0m04"));
    let slow = look(&format!("{VISITORS}metric = \"Latency\"\nstat = \"p99\"\nmax = 30000\n")).await.unwrap();
    assert!(slow.value.unwrap() > 0.0, "{slow:?}");
    let found = "expression = \"SEARCH('{Acme/Visitors,Host} MetricName=\\\"Requests\\\"', 'Sum', 1)\"";
    let search = look(&format!("{found}\nmin = 1\n{fine}")).await.unwrap();
    assert!(search.value.unwrap() >= 1.0);
    let query = "expression = \"SELECT MAX(OldOriginShare) FROM \\\"Acme/Visitors\\\" GROUP BY Host\"";
    assert_eq!(look(&format!("{query}\nmin = 100\n{fine}")).await.unwrap().value, Some(100.0));
    let zero = "namespace = \"Acme/Visitors\"\nmetric = \"Errors\"\nmissing = \"zero\"\nmax = 0\nperiod = \"1s\"\nwindow = \"4s\"";
    let zero = look(zero).await.unwrap();
    assert_eq!(zero.line, "worst 0 of 4 samples, 4 of them missing and counted as 0; wanted at most 0");
    // AWS's own word for what it does not know ends the step: no waiting mends it.
    let unknown = look(&format!("{metrics}\nexpression = \"MEDIAN(errors) + all\"\nmax = 1")).await.unwrap_err();
    assert_eq!(unknown.class, Class::Misconfigured, "{unknown}");
    assert!(unknown.message.contains("ValidationError: Error in expression 'e1': Unsupported function"), "{unknown}");
}

#[tokio::test]
async fn partial_answers_are_no_data() {
    let there = aws_with(&["cloudwatch.partial:always"]).await;
    let text = format!("{VISITORS}metric = \"5xxShare\"\nmax = 1.0\n");
    let failure = check(KIND, &text, &services(there.env)).check(&minute()).await.unwrap_err();
    assert_eq!(
        (failure.class, failure.message.as_str()),
        (Class::NotYet, "no data: CloudWatch gave only a part of 5xxShare")
    );
}

/// One result; samples by how many minutes ago they began.
fn series(label: &str, status: &str, samples: &[(i64, f64)]) -> String {
    let times: String = samples.iter().map(|(n, _)| format!("<member>{}</member>", iso(minutes_ago(*n)))).collect();
    let values: String = samples.iter().map(|(_, value)| format!("<member>{value}</member>")).collect();
    format!(
        "<member><Id>q1</Id><Label>{label}</Label><StatusCode>{status}</StatusCode><Timestamps>{times}</Timestamps><Values>{values}</Values></member>"
    )
}

fn answer(results: &str, more: &str) -> Answer {
    Answer::xml(format!(
        "<R><GetMetricDataResult><MetricDataResults>{results}</MetricDataResults>{more}</GetMetricDataResult></R>"
    ))
}

async fn look(results: String, rest: &str) -> Result<Seen, Failure> {
    let endpoint = play(move |_| answer(&results, "")).await;
    let text = format!("expression = \"SELECT MAX(x) FROM y GROUP BY z\"\ndelay = \"0s\"\n{rest}");
    check(KIND, &text, &at(&endpoint)).check(&minute()).await
}

#[tokio::test]
async fn the_worst_sample_of_every_series_decides() {
    let good = series("a", "Complete", &[(1, 0.1), (2, 0.2)]);
    let seen = look(good.clone(), "max = 1").await.unwrap();
    assert_eq!((seen.value, seen.evidence["samples"].as_i64()), (Some(0.2), Some(2)));
    let bad = look(format!("{good}{}", series("b", "Complete", &[(2, 3.0), (1, 0.0)])), "max = 1").await.unwrap_err();
    assert!(bad.class == Class::NotYet && bad.message.starts_with("worst 3 (b), 1m"), "{bad}");
    assert_eq!(bad.causes, ["b: 1 of 2 samples are beyond, worst 3"]);
    let low = look(good.clone(), "min = 0.15").await.unwrap_err();
    assert!(low.message.starts_with("worst 0.1, 0m") && low.message.ends_with("wanted at least 0.15"), "{low}");
    // What CloudWatch gives beyond the window, because it rounds, was not asked for.
    let seen = look(series("a", "Complete", &[(1, 0.1), (60, 9.0)]), "max = 1").await.unwrap();
    assert_eq!(seen.evidence["samples"].as_i64(), Some(1));
}

#[tokio::test]
async fn old_few_partial_or_no_samples_are_no_data() {
    for (results, rest) in [
        (String::new(), "max = 1"),
        (series("a", "Complete", &[]), "max = 1"),
        (series("a", "Complete", &[(4, 0.1)]), "max = 1\nmax_age = \"1m\""),
        (series("a", "Complete", &[(10, 0.1)]), "max = 1\nwindow = \"15m\""),
        (series("a", "Complete", &[(1, 0.1)]), "max = 1\nmin_samples = 3"),
        (series("a", "PartialData", &[(1, 0.1)]), "max = 1"),
        (series("a", "Complete", &[(1, f64::NAN)]), "max = 1"),
    ] {
        let failure = look(results, rest).await.unwrap_err();
        assert!(failure.class == Class::NotYet && failure.message.starts_with("no data"), "{rest}: {failure}");
    }
    let broken = look(series("a", "InternalError", &[]), "max = 1").await.unwrap_err();
    assert_eq!(broken.class, Class::FailedNothingDone);
    let failure = check(KIND, &params("n", "max = 1"), &at(&nobody().await)).check(&minute()).await.unwrap_err();
    assert_eq!(failure.class, Class::FailedNothingDone);
    let told = series("a", "Complete", &[(1, 0.1)]);
    let message = "<Messages><member><Code>MaxMetricsExceeded</Code><Value>only 500 of 900</Value></member></Messages>";
    let endpoint = play(move |_| answer(&told, message)).await;
    let left_out = check(KIND, "expression = \"SELECT MAX(x) FROM y\"\nmax = 1\ndelay = \"0s\"", &at(&endpoint));
    let failure = left_out.check(&minute()).await.unwrap_err();
    assert!(failure.message.starts_with("no data") && failure.causes[0].contains("only 500 of 900"), "{failure:?}");
}

#[tokio::test]
async fn every_named_metric_needs_data() {
    let endpoint = play(|_| {
        let empty = series("b", "Complete", &[]).replace("q1", "b");
        answer(&format!("{}{empty}", series("a", "Complete", &[(1, 0.1)]).replace("q1", "a")), "")
    })
    .await;
    let one = |id: &str| format!("{{ id = \"{id}\", namespace = \"n\", metric = \"{id}\" }}");
    let text = format!("metrics = [{}, {}]\nmax = 1\ndelay = \"0s\"", one("a"), one("b"));
    let failure = check(KIND, &text, &at(&endpoint)).check(&minute()).await.unwrap_err();
    assert_eq!(failure.message, "no data of b in the last 5m00");
}

#[tokio::test]
async fn pages_are_followed_to_the_end_and_not_for_ever() {
    let endpoint = play(|asked| {
        let second = asked.body.contains("NextToken=more");
        let part = if second { series("a", "Complete", &[(2, 5.0)]) } else { series("a", "PartialData", &[(1, 0.1)]) };
        answer(&part, if second { "" } else { "<NextToken>more</NextToken>" })
    })
    .await;
    let text = params("n", "max = 1\ndelay = \"0s\"");
    let failure = check(KIND, &text, &at(&endpoint)).check(&minute()).await.unwrap_err();
    assert!(failure.message.starts_with("worst 5, 1m"), "{failure}");
    let endless = play(|_| answer(&series("a", "PartialData", &[(1, 0.1)]), "<NextToken>more</NextToken>")).await;
    let failure = check(KIND, &text, &at(&endless)).check(&minute()).await.unwrap_err();
    assert_eq!(failure.message, "no data: CloudWatch has more than 20 pages of it");
}

#[tokio::test]
async fn throttling_is_waited_out() {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let told = series("a", "Complete", &[(2, 0.1)]);
    let endpoint = play(move |_| {
        if asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 2 {
            return Answer::xml_error(400, "Throttling", "Rate exceeded");
        }
        answer(&told, "")
    })
    .await;
    check(KIND, &params("n", "max = 1"), &at(&endpoint)).check(&minute()).await.unwrap();
}

#[test]
fn mistakes_point_at_their_place() {
    let at = |text: &str| mistakes(KIND, text);
    let query = "expression = 'SELECT SUM(x) FROM y'\n";
    let with = |rest: &str| mistakes(KIND, &format!("{query}{rest}"));
    assert_eq!(with("")[0].1, "`cloudwatch.metric` needs a limit");
    assert_eq!(at("max = 1").len(), 2, "namespace and metric");
    assert_eq!(with("stat = \"Sum\"\nmax = 1")[0].0, "\"Sum\"");
    assert_eq!(with("max = 1\nperiod = \"45s\"")[0].0, "\"45s\"");
    assert_eq!(with("max = 1\nwindow = \"10s\"")[0].0, "\"10s\"");
    assert_eq!(with("max = 1\nperiod = \"10s\"\nwindow = \"4h\"")[0].0, "\"4h\"");
    assert_eq!(with("max = 1\nmin_samples = 0")[0].0, "0");
    assert_eq!(with("max = \"1\"")[0].0, "\"1\"");
    assert_eq!(with("max = 1\nmin = 2")[0].0, "2");
    assert_eq!(with("max = 1\nmissing = \"zero\"\nmax_age = \"1m\"")[0].0, "\"1m\"");
    assert_eq!(at("namespace = 'n'\nmetric = 'm'\nmax = 1\nmin_samples = 6")[0].0, "6");
    assert_eq!(at("namespace = 'n'\nmetric = 'm'\nmax = 1\nstat = 'Avg'")[0].0, "'Avg'");
    let metrics = "max = 1\nmetrics = [{ id = 'errors', namespace = 'n', metric = 'm' }]\n";
    let of = |rest: &str| at(&format!("{metrics}{rest}"));
    let typo = &of("expression = 'error * 2'")[0];
    assert_eq!((typo.0.as_str(), typo.1.as_str()), ("'error * 2'", "no metric has the id `error`"));
    assert_eq!(of("expression = '1 + 1'")[0], ("'errors'".into(), "`errors` is not used by `expression`".into()));
    assert_eq!(of("namespace = 'n'")[0].0, "'n'");
    assert_eq!(at("max = 1\nmetrics = [{ id = 'Errors', namespace = 'n', metric = 'm' }]")[0].0, "'Errors'");
    let twice = "max = 1\nmetrics = [{ id = 'a', namespace = 'n', metric = 'm' }, { id = 'a', expression = 'b' }]";
    assert_eq!(at(twice)[0].1, "the id `a` is there twice");
    assert_eq!(at("max = 1\nmetrics = 3")[0].1, "`metrics` must be a list of tables");
}

#[test]
fn it_needs_one_permission() {
    let needs = check(KIND, &params("n", "max = 1"), &at("http://127.0.0.1:9")).needs();
    assert_eq!(needs, [Permission::anywhere("cloudwatch:GetMetricData")]);
}

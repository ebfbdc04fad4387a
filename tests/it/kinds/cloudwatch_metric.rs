//! `cloudwatch.metric` against moto (which has no expressions and aligns periods to the end of the question) and
//! against a played CloudWatch for what has no data.

use gonogo::base::Class;

use super::aws::{Answer, Proxy, Spoil, at, check, minute, mistakes, nobody, play};
use crate::moto;

const KIND: &str = "cloudwatch.metric";

fn params(namespace: &str, rest: &str) -> String {
    format!("namespace = \"{namespace}\"\nmetric = \"share\"\ndimensions = {{ service = \"web\" }}\n{rest}")
}

#[tokio::test]
async fn it_reads_moto_and_no_data_is_never_green() {
    let namespace = format!("Acme/{}", fastrand::u32(..));
    let proxy = Proxy::new(moto::endpoint(), "", Spoil::Nothing).await;
    let look = async |rest: &str| check(KIND, &params(&namespace, rest), &at(&proxy.endpoint)).check(&minute()).await;
    let none = look("max = 1.0").await.unwrap_err();
    assert_eq!((none.class, none.message.as_str()), (Class::NotYet, "no data in the last 5m00"));
    let name = namespace.replace('/', "%2F");
    moto::query("monitoring", &format!("Action=PutMetricData&Version=2010-08-01&Namespace={name}&MetricData.member.1.MetricName=share&MetricData.member.1.Value=0.5&MetricData.member.1.Dimensions.member.1.Name=service&MetricData.member.1.Dimensions.member.1.Value=web")).await;
    let seen = minute().poll(std::time::Duration::from_millis(200), || look("max = 1.0")).await.unwrap();
    assert_eq!(seen.value, Some(0.5));
    assert!(
        seen.line.starts_with("worst 0.5 of 1 samples, newest ") && seen.line.ends_with("old; wanted at most 1"),
        "{}",
        seen.line
    );
    look("min = 0.5\nmax = 0.5\nstat = \"Sum\"").await.unwrap();
    for bad in ["max = 0.4", "min = 0.6", "max = 1\nmin_samples = 2"] {
        assert_eq!(look(bad).await.unwrap_err().class, Class::NotYet, "{bad}");
    }
    assert_eq!(proxy.changes(), 0);
}

fn series(label: &str, status: &str, samples: &[(i64, f64)]) -> String {
    let now = chrono::Utc::now();
    let time = |age: &i64| (now - chrono::Duration::seconds(*age)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let times: String = samples.iter().map(|(age, _)| format!("<member>{}</member>", time(age))).collect();
    let values: String = samples.iter().map(|(_, value)| format!("<member>{value}</member>")).collect();
    format!(
        "<member><Id>q1</Id><Label>{label}</Label><StatusCode>{status}</StatusCode><Timestamps>{times}</Timestamps><Values>{values}</Values></member>"
    )
}

async fn look(results: String, rest: &str) -> Result<gonogo::plan::Seen, gonogo::base::Failure> {
    let endpoint = play(move |_| {
        Answer::xml(format!("<GetMetricDataResponse><GetMetricDataResult><MetricDataResults>{results}</MetricDataResults></GetMetricDataResult></GetMetricDataResponse>"))
    })
    .await;
    check(KIND, &format!("query = \"SELECT MAX(x) FROM y GROUP BY z\"\n{rest}"), &at(&endpoint)).check(&minute()).await
}

#[tokio::test]
async fn the_worst_sample_of_every_series_decides() {
    let good = series("a", "Complete", &[(10, 0.1), (70, 0.2)]);
    let seen = look(good.clone(), "max = 1").await.unwrap();
    assert_eq!((seen.value, seen.evidence["samples"].as_i64()), (Some(0.2), Some(2)));
    let bad = look(format!("{good}{}", series("b", "Complete", &[(70, 3.0), (10, 0.0)])), "max = 1").await.unwrap_err();
    assert!(bad.class == Class::NotYet && bad.message.starts_with("worst 3 (b) of 4 samples"), "{bad}");
    let low = look(good.clone(), "min = 0.15").await.unwrap_err();
    assert!(low.message.starts_with("worst 0.1 of 2 samples"), "{low}");
}

#[tokio::test]
async fn old_few_partial_or_no_samples_are_no_data() {
    for (results, rest) in [
        (String::new(), "max = 1"),
        (series("a", "Complete", &[]), "max = 1"),
        (series("a", "Complete", &[(200, 0.1)]), "max = 1\nmax_age = \"1m\""),
        (series("a", "Complete", &[(10, 0.1)]), "max = 1\nmin_samples = 3"),
        (series("a", "PartialData", &[(10, 0.1)]), "max = 1"),
    ] {
        let failure = look(results, rest).await.unwrap_err();
        assert!(failure.class == Class::NotYet && failure.message.starts_with("no data"), "{rest}: {failure}");
    }
    let broken = look(series("a", "InternalError", &[]), "max = 1").await.unwrap_err();
    assert_eq!(broken.class, Class::FailedNothingDone);
    let failure = check(KIND, &params("n", "max = 1"), &at(&nobody().await)).check(&minute()).await.unwrap_err();
    assert_eq!(failure.class, Class::FailedNothingDone);
}

#[tokio::test]
async fn throttling_is_waited_out() {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let answer = series("a", "Complete", &[(1, 0.1)]);
    let endpoint = play(move |_| {
        if asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 2 {
            return Answer::xml_error(400, "Throttling", "Rate exceeded");
        }
        Answer::xml(format!(
            "<R><GetMetricDataResult><MetricDataResults>{answer}</MetricDataResults></GetMetricDataResult></R>"
        ))
    })
    .await;
    check(KIND, &params("n", "max = 1"), &at(&endpoint)).check(&minute()).await.unwrap();
}

#[test]
fn mistakes_point_at_their_place() {
    let at = |text: &str| mistakes(KIND, text);
    assert_eq!(at("query = \"q\"")[0].1, "`cloudwatch.metric` needs a limit");
    assert_eq!(at("max = 1").len(), 2, "namespace and metric");
    assert_eq!(at("query = \"q\"\nstat = \"Sum\"\nmax = 1")[0].0, "\"Sum\"");
    assert_eq!(at("query = \"q\"\nmax = 1\nperiod = \"45s\"")[0].0, "\"45s\"");
    assert_eq!(at("query = \"q\"\nmax = 1\nwindow = \"10s\"")[0].0, "\"10s\"");
    assert_eq!(at("query = \"q\"\nmax = 1\nmin_samples = 0")[0].0, "0");
    assert_eq!(at("query = \"q\"\nmax = \"1\"")[0].0, "\"1\"");
}

//! `s3.synced`. moto enforces no region and lists small buckets in one page: regions, throttling and long listings are the
//! sandbox's and played ones.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use gonogo::{
    base::{Class, Failure},
    plan::{Permission, Seen},
};

use super::{
    aws::{Answer, Asked, Heard, LONG, at, check, cx_heard, minute, mistakes, nobody, play, play_with, services},
    ends::{Case, End, aws, aws_with, contract},
};
use crate::moto;

const KIND: &str = "s3.synced";

async fn case(end: End) -> Case {
    let there = aws(end).await;
    let mut text =
        "source = \"acme-uploads-old\"\nsource_region = \"us-east-1\"\ntarget = \"acme-uploads\"\nexclude = [\"*/\", \"tmp/\"]".to_owned();
    let mut not_so = text.replace(", \"tmp/\"", "");
    if end == End::Moto {
        let n = fastrand::u32(..);
        let (old, new) = (format!("old-{n}"), format!("new-{n}"));
        let place =
            "<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>";
        for bucket in [&old, &new] {
            moto::put(&format!("/{bucket}"), &[], place).await;
            for key in ["a", "b/1", "b/2%20%2B%20%C3%BC%26%3C", "b/3"] {
                moto::put(&format!("/{bucket}/{key}"), &[], key).await;
            }
        }
        moto::put(&format!("/{old}/c"), &[], "old").await;
        text = format!("source = \"{old}\"\ntarget = \"{new}\"\nexclude = [\"c\"]");
        not_so = format!("source = \"{old}\"\ntarget = \"{new}\"");
    }
    let bad = ("source = 'acme'\ntarget = 's3://acme/x'", "'s3://acme/x'");
    Case::aws(&there, &text, bad).not_so(not_so)
}

contract!(KIND, case; sandbox: Sandbox, moto: Moto);

/// Key → size, entity tag, seconds of age.
type Objects = BTreeMap<String, (u64, String, i64)>;

fn objects(list: &[(&str, u64, &str)]) -> Objects {
    list.iter().map(|(key, size, etag)| ((*key).to_owned(), (*size, (*etag).to_owned(), 3600))).collect()
}

fn coded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn param(asked: &Asked, name: &str) -> Option<String> {
    let (_, query) = asked.operation.split_once('?')?;
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    Some(percent_encoding::percent_decode_str(value).decode_utf8().unwrap().into_owned())
}

/// A page of a played listing; the token is the number of keys that were told.
fn page(asked: &Asked, all: &Objects, most: usize) -> Answer {
    assert_eq!(param(asked, "encoding-type").as_deref(), Some("url"));
    let prefix = param(asked, "prefix").unwrap_or_default();
    let from: usize = param(asked, "continuation-token").map_or(0, |token| token.parse().unwrap());
    let listed: Vec<_> = all.iter().filter(|(key, _)| key.starts_with(&prefix)).collect();
    let now = chrono::Utc::now();
    let contents: String = listed
        .iter()
        .skip(from)
        .take(most)
        .map(|(key, (size, etag, age))| {
            let at = (now - chrono::TimeDelta::seconds(*age)).to_rfc3339();
            format!("<Contents><Key>{}</Key><LastModified>{at}</LastModified><ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size></Contents>", coded(key))
        })
        .collect();
    let cut = from + most < listed.len();
    let next =
        if cut { format!("<NextContinuationToken>{}</NextContinuationToken>", from + most) } else { String::new() };
    Answer::xml(format!(
        "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>{cut}</IsTruncated>{contents}{next}</ListBucketResult>"
    ))
}

/// Two played buckets, `old` and `new`.
async fn buckets(old: Objects, new: Objects, most: usize) -> String {
    play(move |asked| page(asked, if asked.operation.starts_with("GET /old") { &old } else { &new }, most)).await
}

async fn look(old: Objects, new: Objects, rest: &str) -> Result<Seen, Failure> {
    let endpoint = buckets(old, new, 2).await;
    check(KIND, &format!("source = \"old\"\ntarget = \"new\"\n{rest}"), &at(&endpoint)).check(&minute()).await
}

#[tokio::test]
async fn what_differs_is_counted_and_named() {
    let old = objects(&[("a", 1, "x"), ("b", 2, "y"), ("c", 3, "z"), ("d/", 0, "0"), ("e", 5, "v-2"), ("f", 6, "k")]);
    let new = objects(&[("a", 1, "x"), ("b", 9, "y"), ("e", 5, "v-7"), ("f", 6, "other"), ("g", 1, "x")]);
    let failure = look(old.clone(), new.clone(), "").await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet);
    assert_eq!(failure.message, "new: 2 missing, 2 different, 1 extra of 6 objects of old");
    let told: Vec<_> = failure.causes.iter().map(|cause| cause.split(';').next().unwrap()).collect();
    assert_eq!(told, ["missing: c, d/", "different: b (2 → 9), f (entity tag)", "extra: g"]);
    assert!(failure.causes[0].contains("; the newest was written 1h00m ago"), "{failure:?}");
    assert!(failure.hint.unwrap().contains("aws s3 sync s3://old s3://new"));
    let lenient = "exclude = [\"c\", \"*/\", \"b\"]\ncompare = \"size\"\nextra = \"allow\"";
    let seen = look(old.clone(), new.clone(), lenient).await.unwrap();
    assert_eq!(seen.line, "new holds the 3 objects of old (12 bytes), 2 compared by size only, 1 extra");
    let some = look(old.clone(), new.clone(), "exclude = [\"b\", \"f\", \"g\"]\nmax_missing = 2").await.unwrap();
    assert!(some.line.ends_with("1 compared by size only, 2 missing"), "{}", some.line);
    look(old.clone(), new, "exclude = [\"b\", \"f\", \"g\"]\nmax_missing = 1").await.unwrap_err();
    let many: Objects = (0..40).map(|n| (format!("k{n:02}"), (1, "t".to_owned(), 3600))).collect();
    let failure = look(many, Objects::new(), "").await.unwrap_err();
    assert!(failure.causes[0].starts_with("missing: k00, k01, k02, k03, k04 and 35 more; "), "{failure:?}");
    let encrypted = look(objects(&[("a", 1, "x")]), objects(&[("a", 1, "y")]), "").await.unwrap_err();
    assert!(encrypted.hint.unwrap().contains("KMS"));
}

#[tokio::test]
async fn nothing_is_not_the_same() {
    let failure = look(Objects::new(), Objects::new(), "").await.unwrap_err();
    assert_eq!(
        (failure.class, failure.message.as_str()),
        (Class::NotYet, "no data: old holds 0 objects, wanted at least 1")
    );
    look(Objects::new(), Objects::new(), "min_objects = 0").await.unwrap();
    let some = objects(&[("a", 1, "x")]);
    assert!(look(some.clone(), some, "min_objects = 2").await.is_err());
}

#[tokio::test]
async fn what_is_young_may_be_on_its_way() {
    let mut old = objects(&[("a", 1, "x"), ("b", 1, "x"), ("c", 1, "x")]);
    old.insert("b".into(), (1, "x".into(), 5));
    old.insert("c".into(), (2, "y".into(), 5));
    let new = objects(&[("a", 1, "x"), ("c", 1, "x")]);
    let failure = look(old.clone(), new.clone(), "").await.unwrap_err();
    assert!(failure.message.contains("1 missing, 1 different"), "{failure}");
    let seen = look(old, new, "settle = \"60s\"").await.unwrap();
    assert!(seen.line.ends_with("2 younger than 1m00"), "{}", seen.line);
}

#[tokio::test]
async fn prefixes_are_not_part_of_the_keys() {
    let old = objects(&[("in/a", 1, "x"), ("in/b", 1, "x"), ("zz", 1, "x")]);
    let new = objects(&[("2026/in/a", 1, "x"), ("2026/in/b", 1, "x"), ("other", 1, "x")]);
    let seen = look(old, new, "source_prefix = \"in/\"\nprefix = \"2026/in/\"").await.unwrap();
    assert!(seen.line.starts_with("new/2026/in/ holds the 2 objects of old/in/"), "{}", seen.line);
}

/// Random buckets in pages of random lengths: the merge finds what sets find.
#[tokio::test]
async fn the_merge_agrees_with_sets() {
    for round in 0..40_u64 {
        let mut chance = fastrand::Rng::with_seed(round);
        let mut side = || -> Objects {
            let letters = ["a", "B", "ü", "/", " ", "+", "~", "\u{1f600}", "\n", "%2F"];
            let key = |chance: &mut fastrand::Rng| {
                (0..chance.usize(1..4)).map(|_| letters[chance.usize(..letters.len())]).collect::<String>()
            };
            (0..chance.usize(..60)).map(|_| (key(&mut chance), (chance.u64(1..3), "t".to_owned(), 3600))).collect()
        };
        let (old, new) = (side(), side());
        let missing = old.keys().filter(|key| !new.contains_key(*key)).count();
        let extra = new.keys().filter(|key| !old.contains_key(*key)).count();
        let different = old.iter().filter(|(key, it)| new.get(*key).is_some_and(|other| other.0 != it.0)).count();
        let endpoint = buckets(old.clone(), new, chance.usize(1..20)).await;
        let text = "source = \"old\"\ntarget = \"new\"\nmin_objects = 0";
        let seen = check(KIND, text, &at(&endpoint)).check(&minute()).await;
        let wanted =
            format!("new: {missing} missing, {different} different, {extra} extra of {} objects of old", old.len());
        match seen {
            Ok(seen) => assert_eq!((missing, extra, different), (0, 0, 0), "{round}: {}", seen.line),
            Err(failure) => assert_eq!(failure.message, wanted, "{round}"),
        }
    }
}

#[tokio::test]
async fn many_pages_are_read_with_progress() {
    let old: Objects = (0..12_000).map(|n| (format!("uploads/{n:06}.jpg"), (10, "t".to_owned(), 3600))).collect();
    let endpoint = buckets(old.clone(), old, 1000).await;
    let heard = Arc::new(Heard::default());
    let check = check(KIND, "source = \"old\"\ntarget = \"new\"", &at(&endpoint));
    let seen = check.check(&cx_heard(LONG, heard.clone())).await.unwrap();
    assert_eq!(seen.evidence["same"], 12_000);
    let lines = heard.lines();
    assert!(lines.len() >= 12 && lines.iter().any(|line| line.contains("now at uploads/00")), "{lines:?}");
}

/// A played pair whose videos carry checksums.
async fn with_sums(old: &'static str, new: &'static str, algorithm: &str) -> Result<Seen, Failure> {
    let one = objects(&[("a", 1, "x"), ("v", 9, "p-2")]);
    let mut other = one.clone();
    other.insert("v".into(), (9, "p-3".into(), 3600));
    let header: &'static str = Box::leak(format!("x-amz-checksum-{algorithm}").into_boxed_str());
    let endpoint = play_with(move |asked| {
        let side = asked.operation.contains("/old");
        if asked.operation.starts_with("HEAD") {
            let value = if side { old } else { new };
            let kind = if value.contains('-') { "COMPOSITE" } else { "FULL_OBJECT" };
            return (Answer::xml(""), vec![(header, value), ("x-amz-checksum-type", kind)]);
        }
        (page(asked, if side { &one } else { &other }, 10), vec![])
    })
    .await;
    let text = format!("source = \"old\"\ntarget = \"new\"\nchecksum = \"{algorithm}\"");
    check(KIND, &text, &at(&endpoint)).check(&minute()).await
}

#[tokio::test]
async fn checksums_decide_where_tags_cannot() {
    let seen = with_sums("AAA=", "AAA=", "crc64nvme").await.unwrap();
    assert!(seen.line.ends_with("1 by checksum"), "{}", seen.line);
    let other = with_sums("AAA=", "BBB=", "sha256").await.unwrap_err();
    assert_eq!(other.causes, ["different: v (sha256)"]);
    let parts = with_sums("AAA=-2", "BBB=-3", "sha256").await.unwrap_err();
    assert_eq!(parts.message, "no data: 1 of 2 objects cannot be compared by sha256");
    assert_eq!(parts.causes, ["not comparable: v (sha256 of parts)"]);
    let none = with_sums("AAA=", "", "sha256").await.unwrap_err();
    assert_eq!(none.causes, ["not comparable: v (no sha256)"]);
}

#[tokio::test]
async fn a_bucket_that_is_elsewhere_is_followed_once() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let one = objects(&[("a", 1, "x")]);
    let endpoint = play(move |asked| {
        if asked.operation.starts_with("GET /old") && count.fetch_add(1, Ordering::Relaxed) == 0 {
            let body = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>m</Message><Region>ap-south-1</Region></Error>";
            return Answer { status: 400, ..Answer::xml(body) };
        }
        page(asked, &one, 10)
    })
    .await;
    check(KIND, "source = \"old\"\ntarget = \"new\"", &at(&endpoint)).check(&minute()).await.unwrap();
    assert_eq!(sent.load(Ordering::Relaxed), 2);
    let lost = Arc::new(AtomicUsize::new(0));
    let endpoint = play(move |_| {
        let region = format!("us-nowhere-{}", lost.fetch_add(1, Ordering::Relaxed));
        Answer {
            status: 301,
            ..Answer::xml(format!("<Error><Code>PermanentRedirect</Code><Region>{region}</Region></Error>"))
        }
    })
    .await;
    let failure = check(KIND, "source = \"old\"\ntarget = \"new\"", &at(&endpoint)).check(&minute()).await.unwrap_err();
    assert!(failure.message.contains("is neither in") || failure.message.contains("region to region"), "{failure}");
}

#[tokio::test]
async fn the_sandboxs_faults_teach() {
    let there = aws_with(&["s3.slow_down:3", "s3.missing:once"]).await;
    let text = "source = \"acme-uploads-old\"\ntarget = \"acme-uploads\"\nexclude = [\"*/\", \"tmp/\"]\nchecksum = \"crc64nvme\"";
    let look = check(KIND, text, &services(there.env));
    let failure = look.check(&minute()).await.unwrap_err();
    assert_eq!(failure.message, "acme-uploads: 3 missing, 0 different, 0 extra of 1239 objects of acme-uploads-old");
    assert!(
        failure.causes[0].starts_with("missing: uploads/01232.jpg, uploads/01233.jpg, uploads/01234.jpg; "),
        "{failure:?}"
    );
    let seen = look.check(&minute()).await.unwrap();
    assert!(seen.line.contains("1239 objects") && seen.line.ends_with("3 by checksum"), "{}", seen.line);
}

#[tokio::test]
async fn hostile_answers_are_never_green() {
    let contents = |key: &str| {
        format!(
            "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00Z</LastModified><ETag>e</ETag><Size>1</Size></Contents>"
        )
    };
    for (body, why) in [
        ("<ListBucketResult/>".to_owned(), "does not say whether it is whole"),
        ("<Other/>".into(), "no listing"),
        (
            format!("<ListBucketResult><IsTruncated>true</IsTruncated>{}</ListBucketResult>", contents("a")),
            "how it goes on",
        ),
        (
            format!(
                "<ListBucketResult><IsTruncated>false</IsTruncated>{}{}</ListBucketResult>",
                contents("b"),
                contents("a")
            ),
            "ascending",
        ),
        (
            format!(
                "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>{}</ListBucketResult>",
                contents("a")
            ),
            "ascending",
        ),
        (
            "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key></Contents></ListBucketResult>"
                .into(),
            "no size",
        ),
    ] {
        let answer = body.clone();
        let endpoint = play(move |_| Answer::xml(answer.clone())).await;
        let failure =
            check(KIND, "source = \"old\"\ntarget = \"new\"", &at(&endpoint)).check(&minute()).await.unwrap_err();
        assert_eq!(failure.class, Class::FailedNothingDone, "{body}");
        assert!(format!("{failure:?}").contains(why), "{body}: {failure:?}");
    }
    let missing = check(KIND, "source = \"no-such-bucket-1\"\ntarget = \"no-such-bucket-2\"", &at(moto::endpoint()));
    let missing = missing.check(&minute()).await.unwrap_err();
    assert_eq!(missing.class, Class::Misconfigured, "{missing:?}");
    let nobody =
        check(KIND, "source = \"old\"\ntarget = \"new\"", &at(&nobody().await)).check(&minute()).await.unwrap_err();
    assert_eq!(nobody.class, Class::FailedNothingDone);
}

#[tokio::test]
async fn it_needs_what_it_calls() {
    let there = aws(End::Sandbox).await;
    let needs = |text: &str| check(KIND, text, &services(there.env.clone())).needs();
    let plain = "source = \"old\"\ntarget = \"new\"\nprefix = \"in/\"";
    let list = |bucket: &str| Permission::new("s3:ListBucket", format!("arn:aws:s3:::{bucket}"));
    let get = |place: &str| Permission::new("s3:GetObject", format!("arn:aws:s3:::{place}"));
    assert_eq!(needs(plain), [list("new"), list("old")]);
    assert_eq!(
        needs(&format!("{plain}\nchecksum = \"sha1\"")),
        [get("new/in/*"), get("old/*"), list("new"), list("old")]
    );
}

#[test]
fn mistakes_have_their_place() {
    for (text, place) in [
        ("source = 'old'\ntarget = 'old'", "'old'"),
        ("source = 'Old'\ntarget = 'new'", "'Old'"),
        ("source = 'old'\ntarget = 'x--x-s3'", "'x--x-s3'"),
        ("source = 'old'\ntarget = 'new'\nchecksum = 'md4'", "'md4'"),
        ("source = 'old'\ntarget = 'new'\ncompare = 'size'\nchecksum = 'sha1'", "'sha1'"),
        ("source = 'old'\ntarget = 'new'\nextra = true", "true"),
    ] {
        assert_eq!(mistakes(KIND, text)[0].0, place, "{text}");
    }
}

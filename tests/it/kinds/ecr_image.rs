//! `ecr.image`. moto holds whatever manifest it is given, scans nothing by itself and converts nothing: scans that are
//! missing or under way, platforms and other accounts are the sandbox's and played ones.

use gonogo::{
    base::{Class, Failure},
    plan::{Permission, Seen},
};
use serde_json::{Value as Json, json};

use super::{
    aws::{Answer, at, check, minute, mistakes, nobody, play, services},
    ends::{Case, End, aws, aws_with, contract},
};
use crate::moto;

const KIND: &str = "ecr.image";
const ECR: &str = "AmazonEC2ContainerRegistry_V20150921";

async fn case(end: End) -> Case {
    let there = aws(end).await;
    let mut text =
        "repository = \"acme/web\"\ntag = \"2026-12-05\"\nplatform = \"linux/arm64\"\nmax_critical = 0".to_owned();
    let mut not_so = text.replace("arm64", "s390x");
    if end == End::Moto {
        let name = format!("acme/web-{}", fastrand::u32(..));
        let make = json!({ "repositoryName": name, "imageTagMutability": "IMMUTABLE" });
        moto::json("ecr", &format!("{ECR}.CreateRepository"), make).await;
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({ "schemaVersion": 2, "mediaType": kind, "config": { "digest": "sha256:0", "size": 1 }, "layers": [] });
        let put = json!({ "repositoryName": name, "imageTag": "v1", "imageManifest": manifest.to_string() });
        moto::json("ecr", &format!("{ECR}.PutImage"), put).await;
        text = format!("repository = \"{name}\"\ntag = \"v1\"\nimmutable = true\nmax_age = \"1h\"");
        not_so = text.replace("v1", "v2");
    }
    let bad = ("repository = 'r'\ndigest = 'v1'", "'v1'");
    Case::aws(&there, &text, bad).not_so(not_so)
}

contract!(KIND, case; sandbox: Sandbox, moto: Moto);

fn digest(c: char) -> String {
    format!("sha256:{}", c.to_string().repeat(64))
}

const LIST: &str = r#"{"manifests":[{"digest":"sha256:amd","platform":{"os":"linux","architecture":"amd64"}},
    {"digest":"sha256:arm","platform":{"os":"linux","architecture":"arm64","variant":"v8"}},
    {"digest":"sha256:att","platform":{"os":"unknown","architecture":"unknown"}}]}"#;

/// A played repository: the manifest of its image, the scan of the image.
async fn look(manifest: &'static str, scan: Json, rest: &str) -> Result<Seen, Failure> {
    let pushed = chrono::Utc::now().timestamp() as f64 - 630.5;
    let endpoint = play(move |asked| match asked.operation.as_str() {
        "DescribeImages" => Answer::json(json!({ "imageDetails": [
            { "imageDigest": digest('a'), "imageTags": ["v1"], "imagePushedAt": pushed, "imageSizeInBytes": 5, "new": {} }] })),
        "BatchGetImage" => Answer::json(json!({ "images": [{ "imageManifest": manifest }], "failures": [] })),
        "DescribeRepositories" => Answer::json(json!({ "repositories": [{ "imageTagMutability": "MUTABLE" }] })),
        _ if scan.is_null() => Answer::json_error(400, "com.amazonaws#ScanNotFoundException", "no"),
        _ => Answer::json(scan.clone()),
    })
    .await;
    check(KIND, &format!("repository = \"acme/web\"\n{rest}"), &at(&endpoint)).check(&minute()).await
}

fn scan(status: &str, counts: Json) -> Json {
    json!({ "imageScanStatus": { "status": status, "description": "words" }, "imageScanFindings": {
        "findingSeverityCounts": counts, "findings": [{ "name": "CVE-1", "severity": "CRITICAL" }] } })
}

#[tokio::test]
async fn what_hurts_is_named() {
    let good = scan("COMPLETE", json!({ "HIGH": 2 }));
    let seen = look(LIST, good.clone(), "tag = \"v1\"\nplatform = \"linux/arm64\"\nmax_critical = 0\nmax_high = 2")
        .await
        .unwrap();
    let end = " ago, with linux/arm64/v8, 0 critical and 2 high findings";
    let good_line = seen.line.starts_with("acme/web:v1 is sha256:aaaaaaaaaaaa, pushed 10m") && seen.line.ends_with(end);
    assert!(good_line, "{}", seen.line);
    assert_eq!(seen.evidence["platform_digest"], "sha256:arm");
    for (manifest, scan, rest, words) in [
        (LIST, good.clone(), format!("tag = \"v1\"\ndigest = \"{}\"", digest('b')), "the tag points to sha256:aaaa"),
        (LIST, good.clone(), "tag = \"v1\"\nmax_age = \"5m\"".into(), "ago, wanted at most 5m00"),
        (LIST, good.clone(), "tag = \"v1\"\nplatform = \"linux/s390x\"".into(), "it has linux/amd64, linux/arm64/v8"),
        (
            "{\"config\":{}}",
            good.clone(),
            "tag = \"v1\"\nplatform = \"linux/arm64\"".into(),
            "no data: acme/web:v1 is a single image",
        ),
        (LIST, good.clone(), "tag = \"v1\"\nimmutable = true".into(), "tags of the repository are MUTABLE"),
        (LIST, Json::Null, "tag = \"v1\"\nmax_critical = 9".into(), "no data: it was never scanned"),
        (
            LIST,
            scan("IN_PROGRESS", json!({})),
            "tag = \"v1\"\nmax_critical = 9".into(),
            "no data: its scan is IN_PROGRESS: words",
        ),
        (
            LIST,
            scan("UNSUPPORTED_IMAGE", json!({})),
            "tag = \"v1\"\nmax_high = 9".into(),
            "its scan is UNSUPPORTED_IMAGE",
        ),
        (
            LIST,
            scan("COMPLETE", json!({ "CRITICAL": 1 })),
            "tag = \"v1\"\nmax_critical = 0".into(),
            "1 CRITICAL findings, wanted at most 0 (and 1 more)",
        ),
        (LIST, good.clone(), "tag = \"v1\"\nmax_high = 1".into(), "2 HIGH findings, wanted at most 1"),
    ] {
        let failure = look(manifest, scan, &rest).await.unwrap_err();
        assert_eq!(failure.class, Class::NotYet, "{rest}: {failure:?}");
        assert!(failure.message.contains(words), "{rest}: {}", failure.message);
    }
    look(LIST, scan("ACTIVE", json!({})), "tag = \"v1\"\nmax_critical = 0").await.unwrap();
    look(LIST, good, &format!("digest = \"{}\"", digest('a'))).await.unwrap();
}

#[tokio::test]
async fn another_registry_and_region_are_asked_as_such() {
    let endpoint = play(|asked| {
        let body: Json = serde_json::from_str(&asked.body).unwrap();
        assert_eq!(
            (body["registryId"].as_str(), body["repositoryName"].as_str()),
            (Some("999988887777"), Some("acme/web"))
        );
        Answer::json_error(400, "RepositoryNotFoundException", "The repository does not exist in the registry")
    })
    .await;
    let text = "repository = \"acme/web\"\ntag = \"v1\"\nregistry_id = \"999988887777\"\nregion = \"us-east-1\"";
    let failure = check(KIND, text, &at(&endpoint)).check(&minute()).await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured, "{failure:?}");
}

#[tokio::test]
async fn the_sandboxs_faults_teach() {
    let there = aws_with(&["ecr.missing:once", "ecr.critical:once"]).await;
    let look = async |text: &str| check(KIND, text, &services(there.env.clone())).check(&minute()).await;
    let good = "repository = \"acme/web\"\ntag = \"2026-12-05\"\nplatform = \"linux/amd64\"\nmax_critical = 0\nimmutable = true";
    let missing = look(good).await.unwrap_err();
    assert_eq!(
        (missing.class, missing.message.as_str()),
        (Class::NotYet, "acme/web:2026-12-05 is not in the repository")
    );
    let critical = look(good).await.unwrap_err();
    assert!(
        critical.message.contains("2 CRITICAL findings") && critical.causes[0].contains("CVE-2026-00100"),
        "{critical:?}"
    );
    let seen = look(good).await.unwrap();
    let digest = seen.evidence["digest"].as_str().unwrap().to_owned();
    look(&format!("repository = \"acme/web\"\ndigest = \"{digest}\"")).await.unwrap();
    let old =
        look(&format!("repository = \"acme/web\"\ntag = \"2026-11-30\"\ndigest = \"{digest}\"")).await.unwrap_err();
    assert!(old.message.contains("the tag points to"), "{old}");
    let index = look("repository = \"acme/web\"\ntag = \"2026-12-05\"\nmax_critical = 0").await.unwrap_err();
    assert!(index.message.contains("never scanned"), "a list has no scan of its own: {index}");
    look("repository = \"acme/worker\"\ntag = \"latest\"\nmax_critical = 0\nmax_high = 0").await.unwrap();
    let worker = look("repository = \"acme/worker\"\ntag = \"latest\"\nplatform = \"linux/amd64\"").await.unwrap_err();
    assert!(worker.message.contains("single image"), "{worker}");
    let nowhere = look("repository = \"acme/nope\"\ntag = \"latest\"").await.unwrap_err();
    assert_eq!(nowhere.class, Class::Misconfigured);
    let elsewhere = look("repository = \"acme/web\"\ntag = \"2026-12-05\"\nregion = \"us-east-1\"").await.unwrap_err();
    assert_eq!(elsewhere.class, Class::Misconfigured);
}

#[tokio::test]
async fn hostile_and_empty_answers_are_never_green() {
    for body in
        [json!({}), json!({ "imageDetails": [] }), json!({ "imageDetails": [{ "imageTags": ["v1"] }] }), json!("x")]
    {
        let answer = body.clone();
        let endpoint = play(move |_| Answer::json(answer.clone())).await;
        let failure =
            check(KIND, "repository = \"r\"\ntag = \"v1\"", &at(&endpoint)).check(&minute()).await.unwrap_err();
        assert_eq!(failure.class, Class::FailedNothingDone, "{body}: {failure:?}");
    }
    for manifest in ["", "not json"] {
        let failure = look(manifest, Json::Null, "tag = \"v1\"\nplatform = \"linux/amd64\"").await.unwrap_err();
        assert_eq!(failure.class, Class::FailedNothingDone, "{failure:?}");
    }
    let nobody =
        check(KIND, "repository = \"r\"\ntag = \"v1\"", &at(&nobody().await)).check(&minute()).await.unwrap_err();
    assert_eq!(nobody.class, Class::FailedNothingDone);
}

#[tokio::test]
async fn it_needs_what_it_calls() {
    let there = aws(End::Sandbox).await;
    let needs = |text: &str| check(KIND, text, &services(there.env.clone())).needs();
    let on = |action: &str, place: &str| {
        Permission::new(format!("ecr:{action}"), format!("arn:aws:ecr:{place}:repository/acme/web"))
    };
    let plain = "repository = \"acme/web\"\ntag = \"v1\"";
    assert_eq!(needs(plain), [on("DescribeImages", "eu-west-1:111122223333")]);
    let there = "us-east-1:999988887777";
    let all = format!(
        "{plain}\nplatform = \"linux/arm64\"\nmax_high = 0\nimmutable = true\nregion = \"us-east-1\"\nregistry_id = \"999988887777\""
    );
    assert_eq!(
        needs(&all),
        ["BatchGetImage", "DescribeImageScanFindings", "DescribeImages", "DescribeRepositories"]
            .map(|action| on(action, there))
    );
}

#[test]
fn mistakes_have_their_place() {
    assert_eq!(mistakes(KIND, "repository = 'r'")[0].1, "`ecr.image` needs `tag` or `digest`");
    for (rest, place) in [
        ("platform = 'arm64'", "'arm64'"),
        ("registry_id = '12'", "'12'"),
        ("repository = '1.dkr.ecr.eu-west-1.amazonaws.com/web'", "'1.dkr.ecr.eu-west-1.amazonaws.com/web'"),
    ] {
        let name = if rest.starts_with("repository") { "" } else { "repository = 'r'\n" };
        assert_eq!(mistakes(KIND, &format!("{name}tag = 'v1'\n{rest}"))[0].0, place, "{rest}");
    }
}

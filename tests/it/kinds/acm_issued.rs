//! `acm.issued`. moto issues by the clock, lists in one page and renews nothing: pending ones, pages and renewals are
//! the sandbox's and played ones.

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

const KIND: &str = "acm.issued";

async fn case(end: End) -> Case {
    let there = aws(end).await;
    let mut host = "shop.acme.example".to_owned();
    if end == End::Moto {
        host = format!("shop-{}.acme.example", fastrand::u32(..));
        let body =
            json!({ "DomainName": host, "SubjectAlternativeNames": ["www.acme.example"], "ValidationMethod": "DNS" });
        moto::json("acm", "CertificateManager.RequestCertificate", body).await;
    }
    let text = format!("domain = \"{host}\"\nnames = [\"www.acme.example\"]\nmin_left = \"30days\"");
    let bad = ("arn = 'arn:aws:iam::1:role/x'", "'arn:aws:iam::1:role/x'");
    Case::aws(&there, &text, bad).not_so(text.replace("www.", "api."))
}

contract!(KIND, case; sandbox: Sandbox, moto: Moto);

const ARN: &str = "arn:aws:acm:eu-west-1:111122223333:certificate/1";

fn certificate(changes: Json) -> Json {
    let until = chrono::Utc::now() + chrono::TimeDelta::days(100);
    let mut it = json!({
        "CertificateArn": ARN, "DomainName": "shop.acme.example", "SubjectAlternativeNames": ["shop.acme.example", "*.acme.example"],
        "Status": "ISSUED", "Type": "AMAZON_ISSUED", "KeyAlgorithm": "EC_prime256v1", "NotAfter": until.timestamp() as f64 + 0.25,
        "RenewalEligibility": "ELIGIBLE", "InUseBy": ["arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/app/acme-web/50dc"],
        "SomethingNew": { "x": [1] },
    });
    for (key, value) in changes.as_object().unwrap() {
        it[key] = value.clone();
    }
    it
}

async fn look(changes: Json, rest: &str) -> Result<Seen, Failure> {
    let it = certificate(changes);
    let endpoint = play(move |_| Answer::json(json!({ "Certificate": it }))).await;
    check(KIND, &format!("arn = \"{ARN}\"\n{rest}"), &at(&endpoint)).check(&minute()).await
}

#[tokio::test]
async fn what_hurts_is_named() {
    let all = "names = [\"api.acme.example\"]\nmin_left = \"30days\"\nin_use_by = \"app/acme-web\"\nrenews = true";
    let seen = look(json!({}), all).await.unwrap();
    assert_eq!(seen.line, "*.acme.example issued in eu-west-1, 99 days left, in use by app/acme-web");
    assert_eq!(seen.value, Some(99.0));
    let soon = (chrono::Utc::now() + chrono::TimeDelta::hours(20)).timestamp();
    let failed = json!({ "RenewalStatus": "FAILED", "RenewalStatusReason": "CAA_ERROR", "UpdatedAt": 1, "DomainValidationOptions": [] });
    for (changes, rest, words) in [
        (
            json!({ "SubjectAlternativeNames": [] }),
            all,
            "the certificate of shop.acme.example does not cover api.acme.example",
        ),
        (json!({}), "names = [\"a.b.acme.example\"]", "does not cover a.b.acme.example"),
        (json!({ "NotAfter": soon }), "", "ends in 19 h, wanted 24 h"),
        (json!({ "NotAfter": null }), "", "no data: ACM does not say when"),
        (json!({ "InUseBy": [] }), all, "is used by nothing, wanted app/acme-web"),
        (json!({ "RenewalEligibility": "INELIGIBLE", "Type": "IMPORTED" }), "renews = true", "it was imported"),
        (json!({ "RenewalEligibility": "INELIGIBLE", "InUseBy": [] }), "renews = true", "nothing uses it"),
        (json!({ "RenewalSummary": failed }), "renews = true", "the renewal failed"),
        (json!({ "Status": "EXPIRED" }), "", "is EXPIRED"),
        (json!({ "Status": "FAILED", "FailureReason": "CAA_ERROR" }), "", "is FAILED (CAA_ERROR)"),
    ] {
        let failure = look(changes.clone(), rest).await.unwrap_err();
        assert_eq!(failure.class, Class::NotYet, "{changes}: {failure:?}");
        assert!(failure.message.contains(words), "{changes}: {}", failure.message);
    }
    let waiting = json!([
        { "DomainName": "acme.example", "ValidationStatus": "PENDING_VALIDATION", "ValidationMethod": "DNS",
          "ResourceRecord": { "Name": "_x.acme.example.", "Type": "CNAME", "Value": "_y.acm-validations.aws." } },
        { "DomainName": "done.example", "ValidationStatus": "SUCCESS" }]);
    let pending = json!({ "Status": "PENDING_VALIDATION", "NotAfter": null, "DomainValidationOptions": waiting });
    let failure = look(pending, "").await.unwrap_err();
    assert_eq!(
        failure.causes[1..],
        ["acme.example PENDING_VALIDATION: CNAME _x.acme.example. → _y.acm-validations.aws."]
    );
    assert!(failure.hint.unwrap().contains("put the CNAME"));
    // A renewal that waits for its record while the certificate is still good.
    let renewal = json!({ "RenewalStatus": "PENDING_VALIDATION", "UpdatedAt": 1, "DomainValidationOptions": waiting });
    let seen = look(json!({ "RenewalSummary": renewal }), "").await.unwrap();
    assert!(seen.line.ends_with("renewal PENDING_VALIDATION"), "{}", seen.line);
}

fn summary(arn: &str, status: &str, until: i64, names: &[&str], more: bool) -> Json {
    json!({ "CertificateArn": arn, "DomainName": names[0], "SubjectAlternativeNameSummaries": names, "Status": status,
        "NotAfter": until, "HasAdditionalSubjectAlternativeNames": more })
}

#[tokio::test]
async fn the_best_is_found_on_the_last_page() {
    let endpoint = play(|asked| {
        let body: Json = serde_json::from_str(&asked.body).unwrap();
        if asked.operation == "DescribeCertificate" {
            let many = body["CertificateArn"] == "arn:many";
            let names = if many { json!(["n101.example"]) } else { json!(["*.acme.example"]) };
            return Answer::json(json!({ "Certificate": certificate(json!({
                "CertificateArn": body["CertificateArn"], "DomainName": "x.example", "SubjectAlternativeNames": names })) }));
        }
        assert_eq!(body["Includes"]["keyTypes"].as_array().unwrap().len(), 7, "also elliptic curves");
        Answer::json(match body["NextToken"].as_str() {
            None => json!({ "NextToken": "2", "CertificateSummaryList": [
                summary("arn:old", "ISSUED", 100, &["*.acme.example"], false), summary("arn:off", "ISSUED", 900, &["other.example"], false)] }),
            Some("2") => json!({ "NextToken": "3", "CertificateSummaryList": [summary("arn:many", "ISSUED", 50, &["n1.example"], true)] }),
            _ => json!({ "CertificateSummaryList": [
                summary("arn:pending", "PENDING_VALIDATION", 0, &["api.acme.example"], false),
                summary("arn:best", "ISSUED", 200, &["API.acme.example"], false)] }),
        })
    })
    .await;
    let seen = check(KIND, "domain = \"api.acme.example\"", &at(&endpoint)).check(&minute()).await.unwrap();
    assert_eq!(seen.evidence["arn"], "arn:best");
    assert!(seen.line.contains("(best of 3)"), "{}", seen.line);
    // More names than a summary holds.
    let seen = check(KIND, "domain = \"n101.example\"", &at(&endpoint)).check(&minute()).await.unwrap();
    assert_eq!(seen.evidence["arn"], "arn:many");
    let failure = check(KIND, "domain = \"nobody.example\"", &at(&endpoint)).check(&minute()).await.unwrap_err();
    assert_eq!((failure.class, failure.message.as_str()), (Class::NotYet, "no certificate covers nobody.example"));
}

#[tokio::test]
async fn hostile_and_empty_answers_are_never_green() {
    for body in [json!({}), json!({ "Certificate": {} }), json!({ "Certificate": { "Status": "ISSUED" } }), json!([1])]
    {
        let answer = body.clone();
        let endpoint = play(move |_| Answer::json(answer.clone())).await;
        let failure = check(KIND, &format!("arn = \"{ARN}\""), &at(&endpoint)).check(&minute()).await.unwrap_err();
        assert_eq!(failure.class, Class::FailedNothingDone, "{body}: {failure:?}");
        let failure = check(KIND, "domain = \"a.example\"", &at(&endpoint)).check(&minute()).await.unwrap_err();
        assert_eq!(failure.class, Class::FailedNothingDone, "{body}: {failure:?}");
    }
    let endless = play(|_| Answer::json(json!({ "CertificateSummaryList": [], "NextToken": "again" }))).await;
    let failure = check(KIND, "domain = \"a.example\"", &at(&endless)).check(&minute()).await.unwrap_err();
    assert!(failure.message.contains("more than 20 pages"), "{failure}");
    let missing = check(KIND, &format!("arn = \"{ARN}\""), &at(moto::endpoint())).check(&minute()).await.unwrap_err();
    assert_eq!(missing.class, Class::Misconfigured, "{missing:?}");
    let nobody = check(KIND, &format!("arn = \"{ARN}\""), &at(&nobody().await)).check(&minute()).await.unwrap_err();
    assert_eq!(nobody.class, Class::FailedNothingDone);
}

#[tokio::test]
async fn the_region_decides_and_a_fault_teaches() {
    let there = aws_with(&["acm.pending:once"]).await;
    let look = async |text: &str| check(KIND, text, &services(there.env.clone())).check(&minute()).await;
    let failure = look("domain = \"shop.acme.example\"").await.unwrap_err();
    assert!(failure.message.ends_with("is PENDING_VALIDATION") && failure.causes[1].contains("CNAME _"), "{failure:?}");
    look("domain = \"shop.acme.example\"").await.unwrap();
    assert!(look("domain = \"assets.acme.example\"").await.unwrap_err().hint.unwrap().contains("us-east-1"));
    let seen = look("domain = \"assets.acme.example\"\nregion = \"us-east-1\"").await.unwrap();
    assert!(seen.line.contains("in us-east-1"), "{}", seen.line);
    let admin = look("domain = \"admin.acme.example\"").await.unwrap_err();
    assert!(admin.message.contains("PENDING_VALIDATION"), "an elliptic curve is listed too: {admin}");
}

#[tokio::test]
async fn it_needs_what_it_calls() {
    let there = aws(End::Sandbox).await;
    let needs = |text: &str| check(KIND, text, &services(there.env.clone())).needs();
    assert_eq!(needs(&format!("arn = \"{ARN}\"")), [Permission::new("acm:DescribeCertificate", ARN)]);
    assert_eq!(
        needs("domain = \"a.example\"\nregion = \"us-east-1\""),
        [
            Permission::new("acm:DescribeCertificate", "arn:aws:acm:us-east-1:111122223333:certificate/*"),
            Permission::anywhere("acm:ListCertificates")
        ]
    );
}

#[test]
fn mistakes_have_their_place() {
    assert_eq!(mistakes(KIND, "names = ['a']")[0].1, "`acm.issued` needs `arn` or `domain`");
    let both = format!("arn = '{ARN}'\nregion = 'us-east-1'");
    assert_eq!(mistakes(KIND, &both)[0].0, "'us-east-1'");
    assert_eq!(mistakes(KIND, &format!("arn = '{ARN}'\ndomain = 'a'"))[0].0, "'a'");
}

//! Credentials that ended are renewed by a person while we run, and the next try goes on: a rewritten credentials
//! file, a command, a sign-in. Each in a child process with an environment of its own, AWS and its portal played.

use std::{path::Path, process::Command};

use gonogo::{runbook::AwsEnv, runbook::EnvKind};

use super::aws::{Answer, Asked, caller, check, env_of, minute, play, services};
use crate::moto;

const ACCOUNT: &str = "111122223333";

/// Runs in a child; does nothing otherwise.
#[tokio::test]
async fn child_that_is_denied_and_goes_on() {
    let Ok(between) = std::env::var("GONOGO_TEST_BETWEEN") else { return };
    let var = |name: &str| std::env::var(name).ok();
    let mut env = env_of(AwsEnv {
        profile: var("GONOGO_TEST_PROFILE"),
        account: Some(ACCOUNT.into()),
        role: var("GONOGO_TEST_ROLE"),
        external_id: var("GONOGO_TEST_EXTERNAL_ID"),
        role_session_name: var("GONOGO_TEST_SESSION"),
        endpoint: var("GONOGO_TEST_ENDPOINT"),
        ..AwsEnv::default()
    });
    env.kind = EnvKind::Rehearsal;
    let services = services(env);
    let end =
        var("GONOGO_TEST_END").map(|minutes| chrono::Utc::now() + chrono::TimeDelta::minutes(minutes.parse().unwrap()));
    end.into_iter().for_each(|end| services.planned_end.set(end).unwrap());
    let identity = check("aws.identity", &var("GONOGO_TEST_CHECK").unwrap_or_default(), &services);
    for n in 1..=2 {
        let answer = match services.planned_end.get() {
            Some(_) => identity.check(&minute()).await.map(|seen| seen.line),
            None => services.aws.fence().await.map(|identity| identity.unwrap().line),
        };
        match answer {
            Ok(line) => println!("CHILD{n} ok {line}"),
            Err(failure) => println!(
                "CHILD{n} {:?} {} | {} | {}",
                failure.class,
                failure.message,
                failure.causes.join(" "),
                failure.hint.unwrap_or_default()
            ),
        }
        if n == 1 {
            assert!(Command::new("sh").args(["-c", &between]).status().unwrap().success());
        }
    }
}

/// What the child said, before and after.
fn child(home: &Path, between: &str, vars: &[(&str, &str)]) -> (String, String) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "kinds::aws_renewed::child_that_is_denied_and_goes_on", "--nocapture"]);
    child.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", home).current_dir(home);
    child.env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_REGION", "eu-west-1").env("GONOGO_TEST_BETWEEN", between);
    let output = child.envs(vars.iter().copied()).output().unwrap();
    let text = format!("{}\nCHILD1 none\nCHILD2 none\n", String::from_utf8_lossy(&output.stdout));
    let of = |mark: &str| moto::between(&text, mark, "\n").to_owned();
    (of("CHILD1 "), of("CHILD2 "))
}

/// STS that knows only fresh keys.
fn sts(asked: &Asked) -> Answer {
    match asked.operation.as_str() {
        "AssumeRole" if asked.head.contains("Credential=AKIAFRESH/") => {
            // The other role's trust policy asks who it is, and for an external id.
            let outside = asked.body.contains("ThirdParty");
            let named = asked.body.contains("RoleSessionName=mira%40acme.example&")
                || asked.body.ends_with("RoleSessionName=mira%40acme.example");
            let trusted = named && asked.body.contains("ExternalId=acme%3Anight-7");
            if outside && !trusted {
                let words = "User: arn:aws:iam::1:user/x is not authorized to perform: sts:AssumeRole on resource: r";
                return Answer::xml_error(403, "AccessDenied", words);
            }
            let usual =
                asked.body.contains("RoleSessionName=gonogo") || asked.body.contains("RoleSessionName=assume-role");
            assert!(outside || (usual && !asked.body.contains("ExternalId")), "{}", asked.body);
            Answer::xml(
                "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>AKIAFRESH</AccessKeyId>\
                 <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
                 <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>",
            )
        }
        "AssumeRole" if asked.head.contains("Credential=AKIAPOOR/") => Answer::xml_error(
            403,
            "AccessDenied",
            "User: arn:aws:iam::1:user/poor is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::1:role/R",
        ),
        _ if asked.head.contains("Credential=AKIAFRESH/") => caller(ACCOUNT),
        _ => Answer::xml_error(403, "ExpiredToken", "The security token included in the request is expired"),
    }
}

const OK: &str = "ok account 111122223333 eu-west-1 role/Deploy";

fn write(home: &Path, name: &str, text: &str) {
    let path = home.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn keys(id: &str) -> String {
    format!("[acme]\naws_access_key_id = {id}\naws_secret_access_key = s\naws_session_token = t\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rewritten_credentials_file() {
    let (home, sts) = (tempfile::tempdir().unwrap(), play(sts).await);
    write(home.path(), ".aws/credentials", &keys("AKIAOLD"));
    write(home.path(), "fresh", &keys("AKIAFRESH"));
    let vars = [("GONOGO_TEST_PROFILE", "acme"), ("AWS_ENDPOINT_URL_STS", sts.as_str())];
    let (before, after) = child(home.path(), "cp fresh .aws/credentials", &vars);
    assert!(before.starts_with("Denied STS refused GetCallerIdentity: ExpiredToken: The security token"), "{before}");
    assert!(before.contains("HTTP 403, request id req-1"), "{before}");
    assert!(
        before.contains("the keys of profile acme have expired: write fresh ones to ~/.aws/credentials"),
        "{before}"
    );
    assert_eq!(after, OK);
    // A profile that is named beats keys that were exported.
    write(home.path(), ".aws/credentials", &keys("AKIAFRESH"));
    let exported = [("AWS_ACCESS_KEY_ID", "AKIAOLD"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_SESSION_TOKEN", "t")];
    let (named, _) = child(home.path(), "true", &[&vars[..], &exported[..]].concat());
    assert_eq!(named, OK);
    let (bare, _) = child(home.path(), "true", &[&vars[1..], &exported[..]].concat());
    assert!(bare.contains("export fresh ones, then `gonogo resume last`"), "{bare}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_whose_output_changes() {
    let (home, sts) = (tempfile::tempdir().unwrap(), play(sts).await);
    let config = "[profile acme]\ncredential_process = cat keys.json\n";
    write(home.path(), ".aws/config", config);
    let json = |id: &str| format!(r#"{{"Version":1,"AccessKeyId":"{id}","SecretAccessKey":"s","SessionToken":"t"}}"#);
    write(home.path(), "fresh", &json("AKIAFRESH"));
    let vars = [("GONOGO_TEST_PROFILE", "acme"), ("AWS_ENDPOINT_URL_STS", sts.as_str())];
    // First it fails altogether, then it gives keys that have ended.
    for old in [None, Some(json("AKIAOLD"))] {
        let _none_yet = std::fs::remove_file(home.path().join("keys.json"));
        if let Some(old) = old {
            write(home.path(), "keys.json", &old);
        }
        let (before, after) = child(home.path(), "cp fresh keys.json", &vars);
        assert!(before.starts_with("Denied"), "{before}");
        assert!(before.ends_with("see what it wants by running it: cat keys.json"), "{before}");
        assert_eq!(after, OK);
    }
}

/// The portal of IAM Identity Center (`GetRoleCredentials`, SSO Portal API reference): it knows one token.
fn portal(asked: &Asked) -> Answer {
    if !asked.head.to_ascii_lowercase().contains("x-amz-sso_bearer_token: token-fresh") {
        return Answer::json_error(401, "UnauthorizedException", "Session token not found or invalid");
    }
    assert!(asked.head.starts_with("GET /federation/credentials?"), "{}", asked.head);
    assert!(
        asked.head.contains("role_name=Deploy") && asked.head.contains("account_id=111122223333"),
        "{}",
        asked.head
    );
    Answer::json(serde_json::json!({ "roleCredentials": { "accessKeyId": "AKIAFRESH", "secretAccessKey": "s",
        "sessionToken": "t", "expiration": 4_070_908_800_000_i64 } }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in() {
    let (home, sts, portal) = (tempfile::tempdir().unwrap(), play(sts).await, play(portal).await);
    let config = "[sso-session acme]\nsso_region = eu-west-1\nsso_start_url = https://acme.example/start\n\
        sso_registration_scopes = sso:account:access\n[profile acme]\nregion = eu-west-1\nsso_session = acme\n\
        sso_account_id = 111122223333\nsso_role_name = Deploy\n[profile deploy]\nregion = eu-west-1\n\
        role_arn = arn:aws:iam::111122223333:role/Deploy\nsource_profile = acme\n";
    write(home.path(), ".aws/config", config);
    let token = |token: &str, end: &str| {
        format!(
            r#"{{"startUrl":"https://acme.example/start","region":"eu-west-1","accessToken":"{token}","expiresAt":"{end}"}}"#
        )
    };
    // The name of the file is the SHA-1 of the session's name, as `aws sso login` writes it.
    let cached = ".aws/sso/cache/SHA1.json".replace("SHA1", SHA1_OF_ACME);
    write(home.path(), "fresh", &token("token-fresh", "2099-01-01T00:00:00Z"));
    let (sts, portal) = (sts.as_str(), portal.as_str());
    for profile in ["acme", "deploy"] {
        let vars = [("GONOGO_TEST_PROFILE", profile), ("AWS_ENDPOINT_URL_STS", sts), ("AWS_ENDPOINT_URL_SSO", portal)];
        for old in
            [None, Some(("token-fresh", "2020-01-01T00:00:00Z")), Some(("token-revoked", "2099-01-01T00:00:00Z"))]
        {
            let _none_yet = std::fs::remove_file(home.path().join(&cached));
            if let Some((text, end)) = old {
                write(home.path(), &cached, &token(text, end));
            }
            let sign_in = format!("mkdir -p .aws/sso/cache && cp fresh {cached}");
            let (before, after) = child(home.path(), &sign_in, &vars);
            assert!(before.starts_with("Denied no AWS credentials"), "{profile} {old:?}: {before}");
            assert!(before.ends_with("renew the credentials: aws sso login --profile acme"), "{old:?}: {before}");
            assert!(!before.contains("token-"), "a token is shown: {before}");
            assert_eq!(after, OK, "{profile} {old:?}");
        }
    }
}

const SHA1_OF_ACME: &str = "293abb6b76d7791c0732cc517d38c4b5c734b87f";

/// `aws.identity` against the planned end of the run: the end of the keys for a command, of the sign-in for a portal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_that_end_before_the_run() {
    let (home, sts, portal) = (tempfile::tempdir().unwrap(), play(sts).await, play(portal).await);
    let config = "[profile command]\ncredential_process = cat keys.json\n[profile portal]\nsso_region = eu-west-1\n\
        sso_start_url = https://acme.example/start\nsso_account_id = 111122223333\nsso_role_name = Deploy\n";
    write(home.path(), ".aws/config", config);
    let at = |minutes: i64| {
        (chrono::Utc::now() + chrono::TimeDelta::minutes(minutes)).format("%Y-%m-%dT%H:%M:%SZ").to_string()
    };
    let keys = |minutes| {
        let end = at(minutes);
        format!(
            r#"{{"Version":1,"AccessKeyId":"AKIAFRESH","SecretAccessKey":"s","SessionToken":"t","Expiration":"{end}"}}"#
        )
    };
    let token = |minutes| {
        let end = at(minutes);
        format!(
            r#"{{"startUrl":"https://acme.example/start","region":"eu-west-1","accessToken":"token-fresh","expiresAt":"{end}"}}"#
        )
    };
    write(home.path(), "keys.json", &keys(31));
    write(home.path(), "keys-fresh", &keys(90));
    // SHA-1 of the start page.
    let cached = ".aws/sso/cache/32b9d3c1dabf96c36d5542a011699561d2dee1fa.json".to_owned();
    write(home.path(), &cached, &token(31));
    write(home.path(), "token-fresh", &token(90));
    let all = [("AWS_ENDPOINT_URL_STS", sts.as_str()), ("AWS_ENDPOINT_URL_SSO", portal.as_str())];
    for (profile, renew) in
        [("command", "cp keys-fresh keys.json".to_owned()), ("portal", format!("cp token-fresh {cached}"))]
    {
        let vars = [&all[..], &[("GONOGO_TEST_PROFILE", profile), ("GONOGO_TEST_END", "60")]].concat();
        let (free, _) =
            child(home.path(), "true", &[&vars[..], &[("GONOGO_TEST_CHECK", "until_end = false")]].concat());
        assert!(free.starts_with("ok ") && free.contains("credentials end in 30m"), "{profile}: {free}");
        let (short, long) = child(home.path(), &renew, &vars);
        assert!(short.starts_with("NotYet the credentials end in 30m"), "{profile}: {short}");
        assert!(short.contains("and the run is planned to end in 59m"), "{profile}: {short}");
        assert!(long.starts_with(OK) && long.contains("credentials end in 1h29m"), "{profile}: {long}");
        let (least, _) = child(home.path(), "true", &[&vars[..], &[("GONOGO_TEST_CHECK", "min_left = '2h'")]].concat());
        assert!(least.contains("wanted 2h00m"), "{profile}: {least}");
    }
}

/// A role that the environment names, at the STS that the environment names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assumed_role() {
    let (home, sts) = (tempfile::tempdir().unwrap(), play(sts).await);
    write(home.path(), ".aws/credentials", &keys("AKIAFRESH"));
    write(home.path(), "poor", &keys("AKIAPOOR"));
    let role = "arn:aws:iam::111122223333:role/Deploy";
    let vars = [("GONOGO_TEST_PROFILE", "acme"), ("GONOGO_TEST_ENDPOINT", sts.as_str()), ("GONOGO_TEST_ROLE", role)];
    let (good, poor) = child(home.path(), "cp poor .aws/credentials", &vars);
    assert_eq!((good.as_str(), poor.as_str()), (OK, OK), "assumed once, used until it ends");
    let (poor, _) = child(home.path(), "true", &vars);
    assert!(poor.starts_with(&format!("Denied the role {role} may not be assumed")), "{poor}");
    assert!(poor.contains("need the permission sts:AssumeRole on it"), "{poor}");
}

/// A role of somebody else's account: its trust policy wants an external id, its trail a name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_with_an_external_id() {
    let (home, sts) = (tempfile::tempdir().unwrap(), play(sts).await);
    write(home.path(), ".aws/credentials", &keys("AKIAFRESH"));
    let vars = [
        ("GONOGO_TEST_PROFILE", "acme"),
        ("GONOGO_TEST_ENDPOINT", sts.as_str()),
        ("GONOGO_TEST_ROLE", "arn:aws:iam::111122223333:role/ThirdParty"),
        ("GONOGO_TEST_SESSION", "mira@acme.example"),
        ("GONOGO_TEST_EXTERNAL_ID", "acme:night-7"),
    ];
    let (good, _) = child(home.path(), "true", &vars);
    assert_eq!(good, OK);
    for without in [&vars[..4], &[&vars[..3], &vars[4..]].concat()] {
        let (refused, _) = child(home.path(), "true", without);
        assert!(refused.starts_with("Denied the role ") && refused.contains("may not be assumed"), "{refused}");
        assert!(refused.contains("external id"), "{refused}");
    }
}

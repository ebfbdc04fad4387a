//! `http.check` over TLS at a real nginx: SNI, families, client certificates, HTTP/1.1 and 2.

use std::sync::Arc;

use gonogo::{
    base::{Class, Redactor},
    runbook::{SecretRef, SecretSource},
    services::Services,
};

use super::{
    contract::{attempt, check, env, services, services_with},
    fake_tls::{Authority, Made, pem, pem_key, server},
};
use crate::nginx::Nginx;

async fn looks(services: &Arc<Services>, params: &str) -> Result<String, String> {
    let seen = check("http.check", params, services).check(&attempt().cx).await;
    seen.map(|seen| seen.line).map_err(|failure| {
        assert_eq!(failure.class, Class::NotYet, "{failure:?}");
        [vec![failure.message], failure.causes].concat().join("\n")
    })
}

fn write(nginx: &tempfile::TempDir, name: &str, made: &Made) {
    let chain = made.chain.iter().map(|der| pem(der)).collect::<String>();
    std::fs::write(nginx.path().join(format!("{name}.pem")), chain).unwrap();
    std::fs::write(nginx.path().join(format!("{name}.key")), pem_key(&made.key)).unwrap();
}

/// Two names at one address, one server that speaks HTTP/1.1 only, one that wants to know who we are.
fn tls(authority: &Authority, people: &Authority) -> Nginx {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "shop", &authority.leaf(&server(&["shop.acme.example"])));
    write(&dir, "api", &authority.leaf(&server(&["api.acme.example"])));
    std::fs::copy(people.ca(), dir.path().join("people.pem")).unwrap();
    let one = |listen: &str, name: &str, more: &str| {
        format!(
            "server {{ {listen} server_name {name}.acme.example; ssl_certificate DIR/{name}.pem; ssl_certificate_key DIR/{name}.key; {more}
             location / {{ return 200 \"sni=$ssl_server_name host=$http_host $server_protocol from=$remote_addr who=$ssl_client_verify\"; }} }}\n"
        )
    };
    let both = "listen 127.0.0.1:{0} ssl http2; listen [::1]:{0} ssl http2;";
    let config = [
        one(both, "shop", ""),
        one(both, "api", ""),
        one("listen 127.0.0.1:{1} ssl;", "shop", ""),
        one(
            "listen 127.0.0.1:{2} ssl http2;",
            "shop",
            "ssl_client_certificate DIR/people.pem; ssl_verify_client on; ssl_verify_depth 3;",
        ),
        "server { listen 127.0.0.1:{3} http2; location / { return 200 \"$server_protocol\"; } }\n".into(),
        "server { listen 127.0.0.1:{4}; listen [::1]:{4}; location / { return 200 \"from=$remote_addr\"; } }\n".into(),
        "server { listen 127.0.0.1:{5}; location / { return 301 https://shop.acme.example:{0}/; } }\n".into(),
    ];
    Nginx::start_in(dir, &config.concat())
}

#[tokio::test]
async fn names_versions_and_families() {
    let (authority, people) = (Authority::new(), Authority::named("People"));
    let nginx = tls(&authority, &people);
    let services = services(env());
    let ca = format!("ca = '{}'\n", authority.ca().display());
    let at = |name: &str, server: usize| {
        format!("url = \"https://{name}.acme.example/\"\nconnect_to = \"{}\"\n{ca}", nginx.address(server))
    };
    // The right name in SNI and in `Host`, and the certificate verified for it, while nothing resolves.
    for name in ["shop", "api"] {
        let host = format!("contains = \"sni={name}.acme.example host={name}.acme.example \"");
        looks(&services, &format!("{}http = \"1.1\"\n{host}", at(name, 0))).await.unwrap();
    }
    let line = looks(&services, &format!("{}contains = [\"sni=shop.acme.example\", \"HTTP/2.0\"]", at("shop", 0)))
        .await
        .unwrap();
    assert!(line.ends_with(&format!(" from {} by HTTP/2", nginx.address(0))), "{line}");
    looks(&services, &format!("{}http = \"1.1\"\ncontains = \"HTTP/1.1\"", at("shop", 0))).await.unwrap();
    looks(&services, &format!("{}http = \"2\"\ncontains = \"HTTP/2.0\"", at("shop", 0))).await.unwrap();
    looks(&services, &format!("{}contains = \"HTTP/1.1\"", at("shop", 1))).await.unwrap();
    // A redirect to https leads to the port of https, at the address that was aimed at.
    for port in ["", &format!(":{}", nginx.ports[5])] {
        let plain = format!(
            "url = \"http://shop.acme.example:{}/\"\nfollow = true\nconnect_to = \"127.0.0.1{port}\"\n{ca}",
            nginx.ports[5]
        );
        looks(&services, &format!("{plain}contains = \"sni=shop.acme.example host=shop.acme.example\"")).await.unwrap();
    }
    // HTTP/2 that is asked for and not spoken is not green.
    let said = looks(&services, &format!("{}http = \"2\"", at("shop", 1))).await.unwrap_err();
    assert!(said.contains("does not speak HTTP/2"), "{said}");
    looks(&services, &format!("url = \"{}\"\nhttp = \"2\"\ncontains = \"HTTP/2.0\"", nginx.url(3))).await.unwrap();
    assert!(looks(&services, &format!("url = \"{}\"\nhttp = \"2\"", nginx.url(4))).await.is_err());
    // A certificate that is for another name, and one that nobody trusts.
    let said = looks(&services, &at("other", 0)).await.unwrap_err();
    assert!(said.contains("certificate"), "{said}");
    let said = looks(&services, &at("shop", 0).replace(&ca, "")).await.unwrap_err();
    assert!(said.contains("no data: no connection to https://shop.acme.example"), "{said}");
    // Both families of loopback.
    let port = nginx.ports[4];
    looks(&services, &format!("url = \"http://127.0.0.1:{port}/\"\ncontains = \"from=127.0.0.1\"")).await.unwrap();
    looks(&services, &format!("url = \"http://[::1]:{port}/\"\ncontains = \"from=::1\"")).await.unwrap();
    for (family, from) in [("v4", "127.0.0.1"), ("v6", "::1")] {
        let to = if family == "v4" { format!("127.0.0.1:{port}") } else { format!("[::1]:{port}") };
        let params = format!("url = \"http://shop.acme.example/\"\nconnect_to = \"{to}\"\nip = \"{family}\"");
        looks(&services, &format!("{params}\ncontains = \"from={from}\"")).await.unwrap();
    }
    let said = looks(&services, &format!("url = \"http://127.0.0.1:{port}/\"\nip = \"v6\"")).await.unwrap_err();
    assert!(said.contains("127.0.0.1 has no IPv6 address"), "{said}");
    nginx.until_alone().await;
}

#[tokio::test]
async fn client_certificates() {
    let (authority, people) = (Authority::new(), Authority::named("People"));
    let nginx = tls(&authority, &people);
    let mira = people.leaf(&{
        let mut params = server(&["mira"]);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        params
    });
    write(&nginx.dir, "mira", &mira);
    let at = |name: &str| nginx.dir.path().join(name).display().to_string();
    let both = std::fs::read_to_string(at("mira.pem")).unwrap() + &pem_key(&mira.key);
    std::fs::write(at("both.pem"), both).unwrap();
    let secrets = [SecretRef { name: "mira".into(), span: 0..0, source: SecretSource::File(at("both.pem")) }];
    let redactor = Arc::new(Redactor::default());
    let services = services_with(env(), &secrets, redactor.clone());
    let shop = format!(
        "url = \"https://shop.acme.example/\"\nconnect_to = \"{}\"\nca = '{}'\n",
        nginx.address(2),
        authority.ca().display()
    );
    let told = "contains = \"who=SUCCESS\"";
    looks(&services, &format!("{shop}client_cert = '{}'\nclient_key = '{}'\n{told}", at("mira.pem"), at("mira.key")))
        .await
        .unwrap();
    looks(&services, &format!("{shop}client_cert = \"${{secret.mira}}\"\n{told}")).await.unwrap();
    let said = looks(&services, &shop).await.unwrap_err();
    assert!(said.contains("status 400") || said.contains("handshake"), "{said}");
    let key = pem_key(&mira.key);
    for (certificate, key_file) in [("mira.pem", "shop.key"), ("mira.pem", "people.pem"), ("mira.key", "mira.key")] {
        let params = format!("{shop}client_cert = '{}'\nclient_key = '{}'", at(certificate), at(key_file));
        let failure = check("http.check", &params, &services).check(&attempt().cx).await.unwrap_err();
        assert_eq!(failure.class, Class::Misconfigured, "{certificate} {key_file}: {failure:?}");
        let told = format!("{failure:?}");
        assert!(key.lines().skip(1).all(|line| !told.contains(line)), "{told}");
    }
}

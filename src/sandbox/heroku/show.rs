//! Heroku's things as its API shows them. Source: the Platform API reference, version 3.

use serde_json::{Value, json};

use super::{
    Dyno, Formation,
    model::{AddOn, Heroku},
    release::{Build, Release},
};
use crate::sandbox::{
    names::WorldNames,
    world::{Moment, iso},
};

fn app_ref(heroku: &Heroku, names: &WorldNames) -> Value {
    json!({ "id": heroku.id, "name": names.app })
}

fn owner(heroku: &Heroku) -> Value {
    json!({ "id": heroku.owner, "email": OWNER })
}

/// Who owns the app and holds the key.
const OWNER: &str = "platform@acme.example";
const STACK: &str = "a4c5d0f2-0000-4000-a000-000000000024";
const SLUG: &str = "01234567-0000-4000-a000-00000000cafe";
const REGION: &str = "59accabd-516d-4f0e-83e6-6e3757701145";

pub(super) fn app(heroku: &Heroku, names: &WorldNames) -> Value {
    let stack = json!({ "id": STACK, "name": "heroku-24" });
    json!({
        "id": heroku.id, "name": names.app, "maintenance": heroku.maintenance, "acm": true, "archived_at": null,
        "buildpack_provided_description": "Ruby", "build_stack": stack, "stack": stack, "space": null, "team": null,
        "internal_routing": null, "generation": { "id": "37da8c6e-0000-4000-a000-000000000001", "name": "cedar" },
        "region": { "id": REGION, "name": "eu" }, "owner": owner(heroku), "organization": null,
        "git_url": format!("https://git.heroku.com/{}.git", names.app), "web_url": format!("https://{}.herokuapp.com/", names.app),
        "repo_size": 0, "slug_size": 48_000_000, "created_at": iso(heroku.created_at), "updated_at": iso(heroku.updated_at),
        "released_at": heroku.releases.last().map(|release| iso(release.created_at)),
    })
}

pub(super) fn account(heroku: &Heroku) -> Value {
    json!({ "id": heroku.owner, "email": OWNER, "name": "Acme platform", "two_factor_authentication": true,
        "verified": true, "beta": false, "allow_tracking": false, "created_at": iso(heroku.created_at),
        "updated_at": iso(heroku.created_at), "default_organization": null, "default_team": null, "federated": false,
        "suspended_at": null, "delinquent_at": null, "last_login": null, "sms_number": null, "identity_provider": null,
        "country_of_residence": null })
}

pub(super) fn formation(heroku: &Heroku, names: &WorldNames, it: &Formation) -> Value {
    json!({ "id": it.id, "app": app_ref(heroku, names), "type": it.kind, "quantity": it.quantity, "size": it.size,
        "dyno_size": { "id": "ad0cd4bd-0000-4000-a000-000000000001", "name": it.size }, "command": it.command,
        "created_at": iso(heroku.created_at), "updated_at": iso(it.updated_at) })
}

pub(super) fn dyno(heroku: &Heroku, names: &WorldNames, it: &Dyno, now: Moment) -> Value {
    let release = heroku.releases.iter().find(|release| release.version == it.release);
    let since =
        it.stopping_at.filter(|at| *at <= now).unwrap_or(if now >= it.up_at { it.up_at } else { it.created_at });
    json!({ "id": it.id, "name": it.name(), "type": it.kind, "state": it.state(now),
        "size": it.size, "command": it.command, "attach_url": null, "app": app_ref(heroku, names),
        "release": { "id": release.map(|release| &release.id), "version": it.release },
        "created_at": iso(it.created_at), "updated_at": iso(since) })
}

pub(super) fn release(heroku: &Heroku, names: &WorldNames, it: &Release) -> Value {
    let current = it.version == heroku.version();
    let status = it.status();
    json!({ "id": it.id, "version": it.version, "description": it.description, "status": status, "current": current,
        "app": app_ref(heroku, names), "user": owner(heroku), "slug": { "id": SLUG }, "artifacts": [{ "type": "slug", "id": SLUG }],
        "addon_plan_names": heroku.addons.iter().map(|addon| &addon.plan).collect::<Vec<_>>(), "output_stream_url": null,
        "created_at": iso(it.created_at), "updated_at": iso(it.settled_at.max(it.created_at)),
        "eligible_for_rollback": !current && status == "succeeded" })
}

pub(super) fn build(heroku: &Heroku, it: &Build, now: Moment) -> Value {
    let release = it.release.and_then(|version| heroku.releases.iter().find(|release| release.version == version));
    let source = json!({ "url": "https://sources.example/shop.tgz", "version": it.commit, "version_description": null,
        "checksum": null });
    json!({ "id": it.id, "app": { "id": heroku.id }, "buildpacks": [{ "name": "heroku/ruby", "url": "https://buildpacks.example/ruby.tgz" }],
        "created_at": iso(it.created_at), "updated_at": iso(it.ends_at.min(now)), "generation": "cedar",
        "output_stream_url": "https://build-output.example/stream", "source_blob": source, "stack": "heroku-24",
        "release": release.map(|release| json!({ "id": release.id })), "slug": release.map(|_| json!({ "id": SLUG })),
        "status": if it.ends_at > now { "pending" } else { "succeeded" }, "user": owner(heroku) })
}

fn addon(heroku: &Heroku, names: &WorldNames, it: &AddOn) -> Value {
    let price = json!({ "cents": 5000, "contract": false, "unit": "month" });
    let web = format!("https://dashboard.heroku.com/apps/{}/resources/{}", names.app, it.service());
    json!({ "id": it.id, "name": it.name, "app": app_ref(heroku, names), "state": "provisioned", "actions": [],
        "billing_entity": { "id": heroku.id, "name": names.app, "type": "app" },
        "addon_service": { "id": it.id, "name": it.service() }, "plan": { "id": it.id, "name": it.plan },
        "billed_price": price, "provider_id": it.name, "provision_message": "", "config_vars": it.config_vars(),
        "web_url": web, "created_at": iso(heroku.created_at), "updated_at": iso(heroku.created_at) })
}

pub(super) fn addons(heroku: &Heroku, names: &WorldNames) -> Vec<Value> {
    heroku.addons.iter().map(|it| addon(heroku, names, it)).collect()
}

pub(super) fn addon_named(heroku: &Heroku, names: &WorldNames, which: &str) -> Option<Value> {
    let found = heroku.addons.iter().find(|it| it.id == which || it.name == which);
    found.map(|it| addon(heroku, names, it))
}

pub(super) fn attachments(heroku: &Heroku, names: &WorldNames) -> Vec<Value> {
    let one = |addon: &AddOn, (name, id): &(String, String)| {
        json!({ "id": id, "name": name, "namespace": null, "app": app_ref(heroku, names),
            "addon": { "id": addon.id, "name": addon.name, "app": app_ref(heroku, names) }, "web_url": null, "log_input_url": null,
            "created_at": iso(heroku.created_at), "updated_at": iso(heroku.created_at) })
    };
    heroku.addons.iter().flat_map(|addon| addon.attached.iter().map(move |it| one(addon, it))).collect()
}

pub(super) fn coupling(heroku: &Heroku, names: &WorldNames) -> Value {
    let (id, pipeline) = &heroku.coupling;
    json!({ "id": id, "app": { "id": heroku.id }, "pipeline": { "id": pipeline, "name": names.app }, "stage": "production",
        "created_at": iso(heroku.created_at), "updated_at": iso(heroku.created_at) })
}

pub(super) fn domains(heroku: &Heroku, names: &WorldNames) -> Vec<Value> {
    let own = (heroku.id.clone(), format!("{}.herokuapp.com", names.app));
    let domain = |(id, hostname): &(String, String)| {
        let custom = !hostname.ends_with(".herokuapp.com");
        json!({ "id": id, "app": app_ref(heroku, names), "hostname": hostname, "kind": if custom { "custom" } else { "heroku" },
            "cname": custom.then_some(&names.old_target), "status": if custom { "succeeded" } else { "none" },
            "acm_status": custom.then_some("cert issued"), "acm_status_reason": null, "sni_endpoint": null,
            "created_at": iso(heroku.created_at), "updated_at": iso(heroku.created_at) })
    };
    std::iter::once(&own).chain(&heroku.domains).map(domain).collect()
}

pub(super) fn drains(heroku: &Heroku, names: &WorldNames) -> Vec<Value> {
    let drain = |(id, url): &(String, String)| {
        json!({ "id": id, "url": url, "token": format!("d.{id}"), "addon": null, "app": app_ref(heroku, names),
            "created_at": iso(heroku.created_at), "updated_at": iso(heroku.created_at) })
    };
    heroku.drains.iter().map(drain).collect()
}

pub(super) fn collaborators(heroku: &Heroku, names: &WorldNames) -> Vec<Value> {
    vec![
        json!({ "id": heroku.owner, "app": app_ref(heroku, names), "user": { "id": heroku.owner, "email": OWNER, "federated": false }, "role": "owner", "permissions": [],
        "created_at": iso(heroku.created_at), "updated_at": iso(heroku.created_at) }),
    ]
}

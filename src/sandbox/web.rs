//! The two web origins: the old one behind Heroku's router, the new one behind the load balancer.
//! Each says who served, keeps its own orders, and is out of order when its platform is.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    data::Till,
    http::{Asked, Reply},
    keeper::Handle,
    world::{Moment, World, after, iso},
};

/// What a visitor calls itself; the fault `web.5xx` waits for the first one, not for a check made before the switch.
pub(super) const VISITOR: &str = "sandbox-visitor";
/// How long the fault `web.5xx` lasts, in milliseconds.
const BURST: i64 = 8000;
/// Orders kept on each side.
const ORDERS: usize = 500;
/// Longest order.
const ORDER: usize = 16 * 1024;

/// Which origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Side {
    Heroku,
    Aws,
}

/// The shop's data.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Shop {
    orders: Vec<Order>,
    numbers: u64,
    /// The new origin answers 500 to half of the requests until then.
    burst_until: Option<Moment>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Order {
    id: u64,
    side: Side,
    at: Moment,
    body: String,
}

impl Side {
    /// 0 for the old one, 1 for the new one.
    pub fn index(self) -> usize {
        usize::from(self == Self::Aws)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Heroku => "heroku",
            Self::Aws => "aws",
        }
    }
}

/// True where an origin gives requests to the shop.
pub(super) fn serves(world: &World, side: Side, now: Moment) -> bool {
    match side {
        Side::Heroku => !world.heroku.maintenance && world.heroku.up("web", now) > 0,
        Side::Aws => {
            let targets = world.ecs.targets(&world.names.web, now);
            targets.iter().any(|(_, health)| *health == super::aws::ecs::Health::Healthy)
        }
    }
}

/// What the side's database has against the order of a request, where there is a database and an order.
async fn refused(world: &Handle, side: Side, asked: &Asked, till: Option<Till>) -> Option<String> {
    let order = asked.method == "POST" && asked.path.trim_end_matches('/') == "/orders" && asked.body.len() <= ORDER;
    let (till, body) = (till.filter(|_| order)?, std::str::from_utf8(&asked.body).ok()?);
    let served = world.with(move |world, now| serves(world, side, now)).await;
    if served == Ok(true) { till.order(side, body).await.err() } else { None }
}

/// Answers one request. `till`: where orders are written down, where the world has databases.
pub(super) async fn answer(world: Handle, side: Side, asked: Asked, till: Option<Till>) -> Reply {
    let refused = refused(&world, side, &asked, till).await;
    let answered = world.with(move |world, now| {
        let request_id = world.live.ids.uuid();
        let reply = match refused {
            Some(why) => Reply::new(503, "application/json", format!("{}\n", json!({ "error": why }))),
            None => respond(world, side, &asked, &request_id, now),
        };
        if side == Side::Aws {
            let query = if asked.query.is_empty() { String::new() } else { format!("?{}", asked.query) };
            let line = format!("{} {}{query} {} request_id={request_id}", asked.method, asked.path, reply.status);
            super::aws::logs::access(world, crate::base::clean_line(&line, 400), now);
        }
        let via = if side == Side::Heroku { "1.1 heroku-router" } else { "1.1 awselb" };
        reply.with("x-served-by", side.word()).with("via", via).with("x-request-id", request_id)
    });
    answered.await.unwrap_or_else(|_| Reply::new(500, "text/plain", "the world could not be saved\n"))
}

fn page(status: u16, title: &str, text: &str) -> Reply {
    let body = format!(
        "<!DOCTYPE html>\n<html>\n<head><title>{title}</title></head>\n<body><h1>{title}</h1><p>{text}</p></body>\n</html>\n"
    );
    Reply::new(status, "text/html; charset=utf-8", body)
}

/// What the platform in front says where the shop does not get the request.
fn blocked(world: &mut World, side: Side, asked: &Asked, now: Moment) -> Option<Reply> {
    match side {
        Side::Heroku if world.heroku.maintenance => {
            let text = "This application is undergoing maintenance right now. Please check back later.";
            Some(page(503, "Offline for Maintenance", text).with("x-heroku-error", "H80"))
        }
        Side::Heroku if world.heroku.quantity("web") == 0 => {
            let text =
                "An error occurred in the application and your page could not be served. No web processes running.";
            Some(page(503, "Application error", text).with("x-heroku-error", "H14"))
        }
        Side::Heroku if world.heroku.up("web", now) == 0 => {
            let text =
                "An error occurred in the application and your page could not be served. Backend connection refused.";
            Some(page(503, "Application error", text).with("x-heroku-error", "H21"))
        }
        Side::Aws if !serves(world, side, now) => {
            let body = "<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n<center><h1>503 \
                        Service Temporarily Unavailable</h1></center>\r\n</body>\r\n</html>\r\n";
            Some(Reply::new(503, "text/html", body).with("server", "awselb/2.0"))
        }
        Side::Aws => {
            let bursting = world.shop.burst_until.is_some_and(|until| now < until);
            if !bursting && asked.header("user-agent") == VISITOR && world.strikes("web.5xx") {
                world.shop.burst_until = Some(after(now, BURST));
            }
            let bursting = world.shop.burst_until.is_some_and(|until| now < until);
            (bursting && world.live.ids.below(2) == 0).then(|| {
                Reply::new(
                    500,
                    "application/json",
                    json!({ "error": "PG::ConnectionBad: too many connections" }).to_string(),
                )
            })
        }
        Side::Heroku => None,
    }
}

fn respond(world: &mut World, side: Side, asked: &Asked, request_id: &str, now: Moment) -> Reply {
    if let Some(reply) = blocked(world, side, asked, now) {
        return reply;
    }
    let release = match side {
        Side::Heroku => format!("v{}", world.heroku.version()),
        Side::Aws => world
            .ecs
            .services
            .iter()
            .find(|it| it.name == world.names.web)
            .and_then(|it| it.primary().map(|primary| format!("{}:{}", primary.family, primary.revision)))
            .unwrap_or_default(),
    };
    let said = |status, value: Value| Reply::new(status, "application/json", format!("{value}\n"));
    let order =
        |order: &Order| json!({ "id": order.id, "at": iso(order.at), "body": order.body, "served_by": side.word() });
    match (asked.method.as_str(), asked.path.trim_end_matches('/')) {
        ("GET" | "HEAD", "") => page(200, "Acme shop", &format!("served by {}, release {release}", side.word())),
        ("GET" | "HEAD", "/healthz") => said(200, json!({ "ok": true, "served_by": side.word(), "release": release })),
        ("GET", "/orders") => {
            let own = world.shop.orders.iter().filter(|it| it.side == side);
            said(200, json!({ "served_by": side.word(), "orders": own.map(order).collect::<Vec<_>>() }))
        }
        ("GET", path) if path.starts_with("/orders/") => {
            let id = path.trim_start_matches("/orders/").parse::<u64>().ok();
            let found = world.shop.orders.iter().find(|it| it.side == side && Some(it.id) == id);
            found.map_or_else(|| said(404, json!({ "error": "no such order" })), |found| said(200, order(found)))
        }
        ("POST", "/orders") => {
            let Ok(body) = String::from_utf8(asked.body.to_vec()) else {
                return said(400, json!({ "error": "the order is not text" }));
            };
            if body.len() > ORDER {
                return said(413, json!({ "error": "the order is longer than 16 KiB" }));
            }
            let shop = &mut world.shop;
            shop.numbers += 1;
            shop.orders.push(Order { id: shop.numbers, side, at: now, body });
            let extra = shop.orders.len().saturating_sub(2 * ORDERS);
            shop.orders.drain(..extra);
            let id = shop.numbers;
            let reply = shop.orders.last().map(order).unwrap_or_default();
            world.effect(now, ("web", "POST /orders"), side.word(), format!("order {id}"), request_id);
            said(201, reply).with("location", format!("/orders/{id}"))
        }
        (_, "" | "/healthz" | "/orders") => said(405, json!({ "error": "method not allowed" })),
        _ => said(404, json!({ "error": "not found" })),
    }
}

//! Any service's read call, by the one signed client: which calls read (`verbs`), where services are and how they
//! are spoken to (`services`), requests and answers of every protocol (`shape`), pages (`pages`).

mod pages;
mod services;
mod shape;
mod verbs;

use serde_json::{Map, Value as Json};

pub use services::{KNOWN, Known, PROTOCOLS, Protocol, find as known_service, iam as iam_action};
pub use verbs::{opens, refused};

use super::{
    Aws, Patience,
    call::Call,
    session::{Place, Service},
};
use crate::base::{Class, Failure, clean_line};

/// More pages than anybody compares a value over.
const PAGES: usize = 20;

/// A read call of any service.
#[derive(Debug, Clone)]
pub struct Reading {
    /// In messages.
    pub id: String,
    /// In host names and the runbook's `endpoints`.
    pub host: String,
    /// In signatures.
    pub signs: String,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// Version of the query protocols, or prefix of the JSON ones' target.
    pub dialect: String,
    /// The region, where it is not the environment's or the service's own.
    pub region: Option<String>,
    /// The service, where it is known.
    pub known: Option<&'static Known>,
    /// The call.
    pub action: String,
    /// What has to be allowed.
    pub iam: String,
    /// The path of a REST call, with `{Name}` for parameters.
    pub uri: String,
    /// The parameters.
    pub params: Map<String, Json>,
}

impl Reading {
    /// A call without parameters of a service that is known.
    #[must_use]
    pub fn of(known: &'static Known, action: String) -> Self {
        Self {
            id: known.id.into(),
            host: known.host.into(),
            signs: known.signs.into(),
            protocol: known.protocol,
            dialect: known.dialect.into(),
            region: None,
            known: Some(known),
            iam: iam_action(known.iam, &action),
            action,
            uri: String::new(),
            params: Map::new(),
        }
    }

    /// A call without parameters of a service that the runbook describes.
    #[must_use]
    pub fn other(name: &str, protocol: Protocol, action: String) -> Self {
        Self {
            id: name.into(),
            host: name.into(),
            signs: name.into(),
            protocol,
            dialect: String::new(),
            region: None,
            known: None,
            iam: iam_action(name, &action),
            action,
            uri: String::new(),
            params: Map::new(),
        }
    }

    /// True where it is a path that is asked for.
    #[must_use]
    pub fn rest(&self) -> bool {
        matches!(self.protocol, Protocol::RestJson | Protocol::RestXml)
    }

    /// `ElastiCache DescribeReplicationGroups ReplicationGroupId=shop`.
    #[must_use]
    pub fn line(&self) -> String {
        let params = self.params.iter().map(|(key, value)| format!(" {key}={}", shape::plain(value)));
        let params = clean_line(&params.collect::<String>(), 160);
        let uri = if self.rest() { format!(" {}", shape::shown(&self.uri, &self.params)) } else { String::new() };
        format!("{} {}{}", self.id, self.action, if self.rest() { uri } else { params })
    }

    fn service(&self) -> Service<'_> {
        let place = match (&self.region, self.known) {
            (Some(region), _) => Place::Region(region),
            (None, Some(known)) => known.place,
            (None, None) => Place::Here,
        };
        Service { signs: &self.signs, place, ..Service::new(&self.id, &self.host, &self.id, &self.dialect) }
    }
}

impl Aws {
    /// Sends a read call and follows its pages; the whole answer, XML turned into JSON.
    ///
    /// # Errors
    /// As every call to AWS; `FailedNothingDone` where there is more than can be read.
    pub async fn read(&self, reading: &Reading, patience: &Patience) -> Result<Json, Failure> {
        let service = reading.service();
        let call = Call::reads(&reading.id, &reading.action, &reading.iam);
        let mut params = reading.params.clone();
        let mut whole = Json::Object(Map::new());
        for _ in 0..PAGES {
            let request = shape::request(reading, &params)?;
            let answer = self.send(&service, &call, &request, patience).await?;
            let page = shape::answer(reading, &call, &answer)?;
            let next = pages::next(&page, &params);
            pages::add(&mut whole, page);
            match next {
                pages::Next::Nothing => return Ok(whole),
                pages::Next::With(key, token) => params.insert(key.to_owned(), token),
                pages::Next::Unknown => {
                    let words = format!("no data: {} {} gave the first page only", reading.id, reading.action);
                    return Err(Failure::new(Class::FailedNothingDone, words)
                        .hint("ask for less: narrow the call by its parameters"));
                }
            };
        }
        Err(Failure::new(Class::FailedNothingDone, format!("no data: more than {PAGES} pages of {}", reading.action))
            .hint("narrow the call by its parameters"))
    }
}

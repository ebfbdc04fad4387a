//! `DescribeServices` and `UpdateService`.

use super::{super::call::Call, NAME, Service, convert::from_service};
use crate::{
    base::{Class, Failure},
    services::aws::{
        Aws, Patience,
        errors::{garbled, sdk},
    },
};

const SERVICES: Call<'_> = Call::reads(NAME, "DescribeServices", "ecs:DescribeServices");
const UPDATE: Call<'_> = Call::changes(NAME, "UpdateService", "ecs:UpdateService");
/// `DescribeServices` takes at most ten.
const AT_ONCE: usize = 10;

impl Aws {
    /// A service.
    ///
    /// # Errors
    /// `Misconfigured` where cluster or service is not there, `Denied`, `FailedNothingDone`.
    pub async fn service(&self, cluster: &str, service: &str, patience: &Patience) -> Result<Service, Failure> {
        let missing = || Failure::new(Class::FailedNothingDone, "ECS answered DescribeServices without a service");
        let mut found = self.services(cluster, &[service.to_owned()], patience).await?;
        found.pop().ok_or_else(missing)
    }

    /// Services by name or ARN, in the order asked.
    ///
    /// # Errors
    /// As [`Aws::service`]; one that is missing is named.
    pub async fn services(
        &self,
        cluster: &str,
        names: &[String],
        patience: &Patience,
    ) -> Result<Vec<Service>, Failure> {
        let mut services = Vec::with_capacity(names.len());
        for names in names.chunks(AT_ONCE) {
            let answer = self
                .ask(&SERVICES, patience, None, |session, renew| {
                    let request = session.ecs().describe_services().cluster(cluster).set_services(Some(names.to_vec()));
                    async move { request.send().await.map_err(|e| sdk(&SERVICES, &e, &renew)) }
                })
                .await?;
            let found: Vec<_> = answer.services().iter().map(from_service).collect();
            for name in names {
                let short = name.rsplit('/').next().unwrap_or(name);
                // An answer about one service needs no name to be known.
                let one = found.iter().find(|one| one.name == short).or(found.first().filter(|_| names.len() == 1));
                let Some(one) = one else {
                    let why = answer.failures().iter().filter_map(|f| f.reason()).collect::<Vec<_>>().join(", ");
                    // ECS says of each one that it does not have that it is MISSING; silence is not an answer.
                    if why.is_empty() {
                        return Err(garbled(&SERVICES, &format!("the answer says nothing of service {name}")).failure);
                    }
                    let words = format!("cluster {cluster} has no service {name}");
                    return Err(Failure::new(Class::Misconfigured, words).because(why));
                };
                if one.status == "INACTIVE" {
                    let words = format!("service {name} was deleted (INACTIVE)");
                    return Err(Failure::new(Class::Misconfigured, words));
                }
                services.push(Service { name: short.to_owned(), ..one.clone() });
            }
        }
        Ok(services)
    }

    /// Changes a service; the service as ECS then describes it. None: as it is.
    ///
    /// # Errors
    /// `Refused`, `Misconfigured`, `Denied`: nothing was done. `Unknown`: nobody knows.
    pub async fn update_service(
        &self,
        (cluster, service): (&str, &str),
        task_definition: Option<&str>,
        desired: Option<i32>,
        force: bool,
        patience: &Patience,
    ) -> Result<Service, Failure> {
        let answer = self
            .ask(&UPDATE, patience, None, |session, renew| {
                let request = session
                    .ecs()
                    .update_service()
                    .cluster(cluster)
                    .service(service)
                    .set_task_definition(task_definition.map(ToOwned::to_owned))
                    .set_desired_count(desired)
                    .set_force_new_deployment(force.then_some(true));
                async move { request.send().await.map_err(|e| sdk(&UPDATE, &e, &renew)) }
            })
            .await?;
        let updated = answer.service.as_ref().map(from_service);
        updated.ok_or_else(|| Failure::new(Class::Unknown, "ECS answered UpdateService without a service"))
    }
}

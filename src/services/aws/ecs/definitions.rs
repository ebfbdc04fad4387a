//! Task definitions: looked up, and made anew from another one with other images.
//!
//! Registering changes nothing that runs, so that it never leaves doubt: whoever is not sure whether a revision
//! was registered looks for one that equals it, and uses that.

use std::collections::BTreeMap;

use aws_sdk_ecs::{
    operation::register_task_definition::builders::RegisterTaskDefinitionInputBuilder as Registration,
    types::{
        ContainerDefinition, SortOrder, Tag, TaskDefinition as SdkTaskDefinition, TaskDefinitionField,
        TaskDefinitionStatus,
    },
};

use super::{super::call::Call, NAME, TaskDefinition, convert::from_definition, model::no_container};
use crate::{
    base::{Class, Failure},
    services::aws::{Aws, Patience, errors::sdk},
};

const DESCRIBE: Call<'_> = Call::reads(NAME, "DescribeTaskDefinition", "ecs:DescribeTaskDefinition");
const LIST: Call<'_> = Call::reads(NAME, "ListTaskDefinitions", "ecs:ListTaskDefinitions");
const REGISTER: Call<'_> = Call::changes(NAME, "RegisterTaskDefinition", "ecs:RegisterTaskDefinition");
/// Newest revisions of a family among which an equal one is looked for. A revision that an attempt of ours left
/// behind is one of the newest; each costs a request.
const LOOKED_AT: i32 = 10;

/// Other images for containers of a task definition, by container; the empty name is the only container.
pub type Images = BTreeMap<String, String>;

impl Aws {
    /// A task definition, by family (its newest active revision), `family:revision` or ARN.
    ///
    /// # Errors
    /// `Misconfigured` where there is none.
    pub async fn task_definition(&self, name: &str, patience: &Patience) -> Result<TaskDefinition, Failure> {
        self.whole(name, patience).await.map(|(definition, _)| from_definition(&definition))
    }

    /// As [`Aws::task_definition`], and it must not be deregistered.
    ///
    /// # Errors
    /// `Misconfigured` where there is none, or an INACTIVE one.
    pub async fn active_definition(&self, name: &str, patience: &Patience) -> Result<TaskDefinition, Failure> {
        let definition = self.task_definition(name, patience).await?;
        if definition.active {
            return Ok(definition);
        }
        let words = format!("task definition {} was deregistered (INACTIVE)", definition.arn);
        Err(Failure::new(Class::Misconfigured, words).hint("name an active revision, or register it again"))
    }

    /// The active revision that is `base` with other images: found, else registered where `make` says so. Its ARN;
    /// none where there is none and none is to be made.
    ///
    /// # Errors
    /// `Misconfigured` where a container is not there; never `Unknown`, since what is registered runs nowhere.
    pub async fn with_images(
        &self,
        base: &str,
        images: &Images,
        make: bool,
        patience: &Patience,
    ) -> Result<Option<(String, bool)>, Failure> {
        let (definition, tags) = self.whole(base, patience).await?;
        let wanted = replaced(&definition, tags, images)?;
        if let Some(arn) = self.equal_to(&wanted, &definition, patience).await? {
            return Ok(Some((arn, false)));
        }
        if !make {
            return Ok(None);
        }
        match self.register(&wanted, patience).await {
            Ok(arn) => Ok(Some((arn, true))),
            Err(lost) if lost.class == Class::Unknown => {
                let found = self.equal_to(&wanted, &definition, patience).await?;
                found.map(|arn| Some((arn, true))).ok_or_else(|| {
                    let words = format!("no new revision was registered: {}", lost.message);
                    let hint = "nothing that runs was touched; a retry looks for the revision before it registers one";
                    let failure = Failure::new(Class::FailedNothingDone, words).hint(hint);
                    lost.causes.iter().fold(failure, Failure::because)
                })
            }
            Err(failure) => Err(failure),
        }
    }

    async fn whole(&self, name: &str, patience: &Patience) -> Result<(SdkTaskDefinition, Vec<Tag>), Failure> {
        let answer = self
            .ask(&DESCRIBE, patience, None, |session, renew| {
                let request =
                    session.ecs().describe_task_definition().task_definition(name).include(TaskDefinitionField::Tags);
                async move { request.send().await.map_err(|e| sdk(&DESCRIBE, &e, &renew)) }
            })
            .await
            // `ClientException: Unable to describe task definition.` is all that ECS says.
            .map_err(|failure| match failure.class {
                Class::Refused => Failure { class: Class::Misconfigured, ..failure }
                    .hint(format!("is {name} registered in this account and region?")),
                _ => failure,
            })?;
        let none = || Failure::new(Class::FailedNothingDone, "ECS answered DescribeTaskDefinition without one");
        let tags = answer.tags().to_vec();
        Ok((answer.task_definition.ok_or_else(none)?, tags))
    }

    /// An active revision that is as wanted, `own` first: it needs no request.
    async fn equal_to(
        &self,
        wanted: &Registration,
        own: &SdkTaskDefinition,
        patience: &Patience,
    ) -> Result<Option<String>, Failure> {
        let wanted = comparable(wanted.clone());
        let same = |definition: &SdkTaskDefinition, tags: Vec<Tag>| {
            let active = definition.status().is_none_or(|status| *status == TaskDefinitionStatus::Active);
            active && comparable(input(definition, tags)) == wanted
        };
        if same(own, wanted.get_tags().clone().unwrap_or_default()) {
            return Ok(own.task_definition_arn().map(ToOwned::to_owned));
        }
        let family = wanted.get_family().clone().unwrap_or_default();
        let newest = self
            .ask(&LIST, patience, None, |session, renew| {
                let request = session
                    .ecs()
                    .list_task_definitions()
                    .family_prefix(&family)
                    .status(TaskDefinitionStatus::Active)
                    .sort(SortOrder::Desc)
                    .max_results(LOOKED_AT);
                async move { request.send().await.map_err(|e| sdk(&LIST, &e, &renew)) }
            })
            .await?;
        for arn in newest.task_definition_arns() {
            let (definition, tags) = self.whole(arn, patience).await?;
            if same(&definition, tags) {
                return Ok(Some(arn.clone()));
            }
        }
        Ok(None)
    }

    async fn register(&self, wanted: &Registration, patience: &Patience) -> Result<String, Failure> {
        let answer = self
            .ask(&REGISTER, patience, None, |session, renew| {
                let wanted = wanted.clone();
                async move { wanted.send_with(session.ecs()).await.map_err(|e| sdk(&REGISTER, &e, &renew)) }
            })
            .await?;
        let arn = answer.task_definition().and_then(|one| one.task_definition_arn());
        arn.map(ToOwned::to_owned)
            .ok_or_else(|| Failure::new(Class::Unknown, "ECS answered RegisterTaskDefinition without a revision"))
    }
}

/// Everything of a task definition that may be registered. What only ECS writes (ARN, revision, status, attributes
/// that it derives, who registered it and when) is left out, and so is Elastic Inference, which AWS has ended.
fn input(definition: &SdkTaskDefinition, tags: Vec<Tag>) -> Registration {
    // AWS's own tags cannot be set by anybody ("Tagging your resources", ECS developer guide).
    let tags: Vec<Tag> = tags.into_iter().filter(|tag| !tag.key().unwrap_or_default().starts_with("aws:")).collect();
    Registration::default()
        .set_family(definition.family.clone())
        .set_task_role_arn(definition.task_role_arn.clone())
        .set_execution_role_arn(definition.execution_role_arn.clone())
        .set_network_mode(definition.network_mode.clone())
        .set_container_definitions(definition.container_definitions.clone())
        .set_volumes(definition.volumes.clone())
        .set_placement_constraints(definition.placement_constraints.clone())
        .set_requires_compatibilities(definition.requires_compatibilities.clone())
        .set_cpu(definition.cpu.clone())
        .set_memory(definition.memory.clone())
        .set_tags((!tags.is_empty()).then_some(tags))
        .set_pid_mode(definition.pid_mode.clone())
        .set_ipc_mode(definition.ipc_mode.clone())
        .set_proxy_configuration(definition.proxy_configuration.clone())
        .set_ephemeral_storage(definition.ephemeral_storage.clone())
        .set_runtime_platform(definition.runtime_platform.clone())
        .set_enable_fault_injection(definition.enable_fault_injection)
}

/// As it is to be registered: `definition` with other images.
fn replaced(definition: &SdkTaskDefinition, tags: Vec<Tag>, images: &Images) -> Result<Registration, Failure> {
    let mut containers = definition.container_definitions.clone().unwrap_or_default();
    for (name, image) in images {
        container(&mut containers, name, definition)?.image = Some(image.clone());
    }
    Ok(input(definition, tags).set_container_definitions(Some(containers)))
}

fn container<'a>(
    containers: &'a mut [ContainerDefinition],
    name: &str,
    definition: &SdkTaskDefinition,
) -> Result<&'a mut ContainerDefinition, Failure> {
    let known: Vec<_> = containers.iter().map(|one| one.name().unwrap_or_default().to_owned()).collect();
    let at = if name.is_empty() && known.len() == 1 { Some(0) } else { known.iter().position(|one| one == name) };
    let arn = definition.task_definition_arn().unwrap_or_default();
    let known: Vec<_> = known.iter().map(String::as_str).collect();
    at.and_then(|at| containers.get_mut(at)).ok_or_else(|| no_container(arn, name, &known))
}

/// With its unordered parts in one order: ECS tells them in any, and an empty list like none.
fn comparable(input: Registration) -> Registration {
    fn some<T: Clone>(list: &Option<Vec<T>>) -> Option<Vec<T>> {
        list.clone().filter(|list| !list.is_empty())
    }
    fn sorted<T: Clone, K: Ord>(list: &Option<Vec<T>>, key: impl Fn(&T) -> K) -> Option<Vec<T>> {
        let mut list = some(list)?;
        list.sort_by_key(key);
        Some(list)
    }
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let mut containers = some(input.get_container_definitions());
    for one in containers.iter_mut().flatten() {
        one.environment = sorted(&one.environment, |pair| text(pair.name()));
        one.secrets = sorted(&one.secrets, |secret| secret.name().to_owned());
        one.mount_points = sorted(&one.mount_points, |point| text(point.container_path()));
        one.volumes_from = some(&one.volumes_from);
        one.port_mappings = some(&one.port_mappings);
        one.system_controls = some(&one.system_controls);
    }
    let tags = sorted(input.get_tags(), |tag| text(tag.key()));
    let volumes = sorted(input.get_volumes(), |volume| text(volume.name()));
    let constraints = some(input.get_placement_constraints());
    let needs = sorted(input.get_requires_compatibilities(), |one| one.as_str().to_owned());
    input
        .set_container_definitions(containers)
        .set_tags(tags)
        .set_volumes(volumes)
        .set_placement_constraints(constraints)
        .set_requires_compatibilities(needs)
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::{Compatibility, EphemeralStorage, KeyValuePair, Secret};

    use super::*;

    fn definition(environment: [&str; 2]) -> SdkTaskDefinition {
        let environment = environment.map(|name| KeyValuePair::builder().name(name).value("v").build());
        let secret = Secret::builder().name("DATABASE_URL").value_from("arn:x").build().unwrap();
        let container = ContainerDefinition::builder()
            .name("app")
            .image("shop:1")
            .set_environment(Some(environment.to_vec()))
            .secrets(secret)
            .build();
        SdkTaskDefinition::builder()
            .family("web")
            .task_definition_arn("arn:aws:ecs:eu-west-1:1:task-definition/web:1")
            .container_definitions(container)
            .requires_compatibilities(Compatibility::Fargate)
            .ephemeral_storage(EphemeralStorage::builder().size_in_gib(30).build())
            .revision(1)
            .build()
    }

    fn images(name: &str, image: &str) -> Images {
        Images::from([(name.to_owned(), image.to_owned())])
    }

    #[test]
    fn everything_is_kept_but_the_image() {
        let tags = vec![
            Tag::builder().key("team").value("shop").build(),
            Tag::builder().key("aws:cloudformation:stack-name").value("x").build(),
        ];
        let one = definition(["A", "B"]);
        let wanted = replaced(&one, tags, &images("", "shop:2")).unwrap();
        let container = &wanted.get_container_definitions().as_ref().unwrap()[0];
        assert_eq!(container.image(), Some("shop:2"));
        assert_eq!((container.environment().len(), container.secrets().len()), (2, 1));
        assert_eq!(wanted.get_ephemeral_storage().as_ref().unwrap().size_in_gib, 30);
        assert_eq!(wanted.get_tags().as_ref().unwrap().len(), 1, "AWS's own tags cannot be set");
        assert!(replaced(&one, Vec::new(), &images("nope", "x")).unwrap_err().causes[0].contains("app"));
    }

    #[test]
    fn order_and_emptiness_make_no_difference_and_a_value_does() {
        let tell = |one: &SdkTaskDefinition| comparable(input(one, Vec::new()));
        assert_eq!(tell(&definition(["A", "B"])), tell(&definition(["B", "A"])));
        assert_ne!(tell(&definition(["A", "B"])), tell(&definition(["A", "C"])));
        let mut empty = definition(["A", "B"]);
        empty.volumes = Some(Vec::new());
        assert_eq!(tell(&empty), tell(&definition(["A", "B"])));
    }
}

//! What one look at a service says of a deployment: whether it can still come to a good end. Pure.

use super::{Rollout, Service, rollout::stuck_by_percents, short_definition};
use crate::base::Class;

/// Failed tasks that end a deployment which ECS itself would go on with for ever; its circuit breaker counts so:
/// half of the desired count, at least 3, at most 200 ("How the circuit breaker detects failures").
fn threshold(desired: i32) -> i32 {
    ((desired + 1) / 2).clamp(3, 200)
}

/// A deployment that ended, or cannot end well any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    pub class: Class,
    pub message: String,
    pub hint: String,
}

impl Lost {
    fn new(message: String, hint: impl Into<String>) -> Option<Self> {
        Some(Self { class: Class::Failed, message, hint: hint.into() })
    }
}

/// What is known from the looks before.
#[derive(Debug, Default)]
pub(super) struct Since {
    /// Events that were there before the deployment began.
    pub known: Vec<String>,
    /// Failed tasks of a deployment that was on its way already.
    pub failed: i32,
    /// The id of our deployment, once seen.
    pub deployment: Option<String>,
}

impl Since {
    /// Events that are news, newest first.
    pub fn news<'s>(&self, now: &'s Service) -> impl Iterator<Item = &'s str> {
        let fresh = now.events.iter().filter(|event| !event.id.is_empty() && !self.known.contains(&event.id));
        fresh.map(|event| event.message.as_str()).collect::<Vec<_>>().into_iter()
    }
}

/// True of an event that says what is wrong.
pub(super) fn is_trouble(event: &str) -> bool {
    let event = event.to_lowercase();
    ["unable", "failed", "fail ", "insufficient", "unhealthy", "error", "rolling back", "capacity", "denied"]
        .iter()
        .any(|word| event.contains(word))
}

impl Rollout {
    /// Says why a deployment cannot come to a good end; none while it can.
    pub(super) fn lost(&self, now: &Service, since: &Since) -> Option<Lost> {
        let primary = now.live_primary()?;
        let short = short_definition(&primary.task_definition);
        let wanted = short_definition(&self.after.task_definition);
        let old = short == short_definition(&self.before.task_definition);
        if short != wanted {
            if old {
                return None;
            }
            if primary.reason.contains("rolling back") {
                let hint = "the reasons of its tasks tell why; a restore deploys the captured revision";
                return Lost::new(format!("ECS rolled {wanted} back to {short}"), hint);
            }
            let hint = "ask who deployed; nothing is overwritten: a retry captures what is there now";
            return Lost::new(
                format!("somebody else deployed {short} over {wanted} while we waited ({})", primary.id),
                hint,
            );
        }
        let hint =
            format!("its image, secrets, roles and health check are the usual causes of failing tasks of {wanted}");
        if primary.rollout == "FAILED" && !now.rolls_back {
            let words = format!("the deployment of {wanted} failed, and ECS leaves it as it is: {}", now.line());
            return Lost::new(words, hint);
        }
        let failed = primary.failed - since.failed;
        if !now.breaker && primary.rollout == "IN_PROGRESS" && failed >= threshold(now.desired) {
            let words = format!(
                "{failed} tasks of {wanted} failed; the service has no circuit breaker, so ECS goes on trying: {}",
                now.line()
            );
            return Lost::new(words, format!("{hint}; a restore puts the captured revision back"));
        }
        let stuck = since.news(now).find(|event| event.contains("deployment configuration"));
        if stuck.is_some() && primary.rollout == "IN_PROGRESS" {
            let why = stuck_by_percents(now, now.desired)
                .unwrap_or_else(|| "minimumHealthyPercent and maximumPercent leave ECS no room".into());
            let hint = "change the service's minimumHealthyPercent or maximumPercent and retry, or restore";
            return Lost::new(format!("the deployment of {wanted} cannot begin: {why}"), hint);
        }
        None
    }

    /// The count that somebody set while we waited: the asked task definition stands, the asked count does not.
    pub(super) fn fought(&self, now: &Service) -> Option<(i32, i32)> {
        let asked = self.after.desired?;
        let ours = Self::on(now, &self.after) && !self.unforced(now);
        (ours && now.steady() && now.desired != asked).then_some((asked, now.desired))
    }

    /// The circuit breaker, an alarm, or a person puts the task definition back; none of them the count.
    pub(super) fn rolled_back(&self, now: &Service) -> bool {
        self.moves() && Self::on(now, &self.before) && now.steady()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::aws::ecs::{Deployment, Event, State};

    fn service(definition: &str, desired: i32, rollout: &str) -> Service {
        let primary = Deployment {
            id: format!("ecs-svc/{definition}"),
            status: "PRIMARY".into(),
            task_definition: format!("arn:aws:ecs:eu-west-1:1:task-definition/{definition}"),
            desired,
            running: desired,
            rollout: rollout.into(),
            ..Deployment::default()
        };
        Service {
            task_definition: primary.task_definition.clone(),
            desired,
            running: desired,
            deployments: vec![primary],
            breaker: true,
            rolls_back: true,
            percents: Some((100, 200)),
            ..Service::default()
        }
    }

    fn rollout(desired: Option<i32>) -> Rollout {
        let state = |definition: &str, desired| State {
            task_definition: definition.into(),
            desired,
            deployment: Some("ecs-svc/web:1".into()),
        };
        Rollout {
            cluster: "c".into(),
            service: "web".into(),
            before: state("web:1", Some(2)),
            after: state("web:2", desired),
            force: false,
            from: None,
        }
    }

    fn lost(service: &Service) -> Option<String> {
        rollout(None).lost(service, &Since::default()).map(|lost| lost.message)
    }

    #[test]
    fn completed_on_the_old_definition_is_not_done() {
        let rollout = rollout(None);
        assert!(rollout.as_wanted(&service("web:2", 5, "COMPLETED")));
        assert!(!rollout.as_wanted(&service("web:2", 2, "IN_PROGRESS")));
        assert!(!rollout.as_wanted(&service("web:1", 2, "COMPLETED")));
        assert!(rollout.as_before(&service("web:1", 2, "COMPLETED")));
        assert!(rollout.rolled_back(&service("web:1", 2, "COMPLETED")));
        assert!(rollout.as_before(&service("web:1", 5, "COMPLETED")), "a count that it never set is not its own");
        assert!(!self::rollout(Some(4)).as_before(&service("web:1", 4, "COMPLETED")));
        assert!(lost(&service("web:3", 2, "IN_PROGRESS")).unwrap().starts_with("somebody else deployed web:3 over"));
        assert_eq!(lost(&service("web:2", 2, "FAILED")), None, "the breaker puts it back");
        let alone = Service { rolls_back: false, ..service("web:2", 2, "FAILED") };
        assert!(lost(&alone).unwrap().contains("ECS leaves it as it is"));
    }

    #[test]
    fn without_a_breaker_our_own_patience_ends() {
        let mut failing = Service { breaker: false, rolls_back: false, ..service("web:2", 2, "IN_PROGRESS") };
        failing.deployments[0].failed = 2;
        assert_eq!(lost(&failing), None);
        failing.deployments[0].failed = 3;
        assert!(lost(&failing).unwrap().starts_with("3 tasks of web:2 failed; the service has no circuit breaker"));
        let since = Since { failed: 2, ..Since::default() };
        assert_eq!(rollout(None).lost(&failing, &since), None, "those of before do not count");
    }

    #[test]
    fn percents_that_leave_no_room_are_named_once_ecs_says_so() {
        let mut stuck = Service { percents: Some((100, 100)), ..service("web:2", 2, "IN_PROGRESS") };
        assert_eq!(lost(&stuck), None);
        stuck.events.push(Event {
            id: "e1".into(),
            message: "(service web) was unable to stop or start tasks during a deployment because of the service \
                      deployment configuration. Update the minimumHealthyPercent or maximumPercent value and try again."
                .into(),
        });
        assert!(lost(&stuck).unwrap().contains("minimumHealthyPercent 100 and maximumPercent 100"));
        let since = Since { known: vec!["e1".into()], ..Since::default() };
        assert_eq!(rollout(None).lost(&stuck, &since), None, "an old event says nothing of this deployment");
        assert_eq!(stuck_by_percents(&service("web:2", 2, ""), 2), None);
        let half = Service { percents: Some((50, 100)), ..service("web:2", 1, "") };
        assert!(stuck_by_percents(&half, 1).is_some(), "half of one task is one");
        assert!(stuck_by_percents(&half, 2).is_none());
    }

    #[test]
    fn a_count_that_somebody_else_set() {
        assert_eq!(rollout(Some(4)).fought(&service("web:2", 1, "COMPLETED")), Some((4, 1)));
        assert_eq!(rollout(Some(4)).fought(&service("web:2", 1, "IN_PROGRESS")), None);
        assert_eq!(rollout(None).fought(&service("web:2", 1, "COMPLETED")), None);
    }

    #[test]
    fn the_way_back_leaves_the_count_to_autoscaling() {
        assert_eq!(rollout(None).back().after.desired, None);
        let back = rollout(Some(4)).back();
        assert_eq!((back.after.desired, back.before.desired), (Some(2), Some(4)));
        assert_eq!(back.after.task_definition, "web:1");
    }

    #[test]
    fn forced_is_told_by_the_deployment() {
        let forced = Rollout { force: true, after: State { desired: None, ..rollout(None).before }, ..rollout(None) };
        assert!(!forced.as_wanted(&service("web:1", 2, "COMPLETED")));
        let mut new = service("web:1", 2, "COMPLETED");
        new.deployments[0].id = "ecs-svc/9".into();
        assert!(forced.as_wanted(&new));
    }
}

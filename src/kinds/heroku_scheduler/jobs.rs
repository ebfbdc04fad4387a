//! The add-ons that start jobs, and the jobs that run.

use crate::services::heroku::{AddOn, Dyno};

/// The process type of its jobs, and its service.
const SCHEDULER: &str = "scheduler";
/// Other people's schedulers. Their jobs are one-off dynos like any other (`run.…`), so only their owner can tell.
const OTHERS: &[&str] = &["advanced-scheduler", "crontogo", "process-scheduler", "temporize"];

/// The add-ons of an app that start jobs.
#[derive(Default)]
pub(super) struct Schedulers {
    own: Vec<AddOn>,
    others: Vec<AddOn>,
}

impl Schedulers {
    pub fn of(addons: &[AddOn]) -> Self {
        let pick = |services: &[&str]| addons.iter().filter(|it| services.contains(&it.service())).cloned().collect();
        Self { own: pick(&[SCHEDULER]), others: pick(OTHERS) }
    }

    pub fn none(&self) -> bool {
        self.own.is_empty() && self.others.is_empty()
    }

    pub fn names(&self) -> Vec<&str> {
        self.own.iter().chain(&self.others).map(|addon| addon.name.as_str()).collect()
    }

    /// What its owner has to know, one a line; `page` where an add-on does not tell its own.
    pub fn lines(&self, page: &str) -> Vec<String> {
        let at = |addon: &AddOn| {
            let known = addon.web_url.as_deref().filter(|url| url.starts_with("https://"));
            format!("{} ({}): {}", addon.name, addon.plan, known.unwrap_or(page))
        };
        let own = self.own.iter().map(at);
        let others = self.others.iter().map(|addon| format!("starts jobs too: {}", at(addon)));
        let mut lines: Vec<String> = own.chain(others).collect();
        if self.own.is_empty() {
            lines.push("the app has no add-on Heroku Scheduler".to_owned());
        }
        lines
    }
}

/// The names of the jobs that run, in any state.
pub(super) fn running(dynos: &[Dyno]) -> Vec<String> {
    dynos.iter().filter(|dyno| dyno.kind == SCHEDULER).map(|dyno| dyno.name.clone()).collect()
}

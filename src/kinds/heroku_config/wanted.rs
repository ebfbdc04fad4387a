//! Which config vars shall have which values, as the runbook says it and as opened.

use std::sync::Arc;

use crate::{
    base::{Failure, Secret, clean_line},
    plan::{Params, TextOrSecret},
    runbook::value,
    services::Services,
};

/// Values by name; `None`: not there.
pub(super) type Values = Vec<(String, Option<Secret>)>;

/// What the runbook asks for.
pub(super) struct Wanted {
    set: Vec<(String, TextOrSecret)>,
    unset: Vec<String>,
    /// What to put back, where the author says it.
    former: Vec<(String, TextOrSecret)>,
}

impl Wanted {
    pub fn read(params: &mut Params<'_>) -> Self {
        let (set, unset, former) = (params.map("set"), params.texts("unset"), params.map("former"));
        for key in ["set", "former"] {
            let Some(value::Kind::Table(table)) = params.raw(key).map(|raw| &raw.kind) else { continue };
            for entry in &table.entries {
                plain(params, &entry.key, entry.key_span.clone());
            }
        }
        let span = params.place_of("unset");
        for name in &unset {
            plain(params, name, span.clone());
            if set.iter().any(|(other, _)| other == name) {
                let message = format!("`{}` is set and unset", clean_line(name, 60));
                params.mistake(span.clone(), message, "one of the two", None);
            }
        }
        if let Some((name, _)) =
            former.iter().find(|(name, _)| !set.iter().any(|(n, _)| n == name) && !unset.contains(name))
        {
            let span = params.place_of("former");
            let message = format!("`former` names `{}`, which is neither set nor unset", clean_line(name, 60));
            params.mistake(span, message, "nothing changes it", None);
        }
        if set.is_empty() && unset.is_empty() && params.ok() {
            params.mistake(params.place(), "`heroku.config` needs `set` or `unset`", "nothing to change", None);
        }
        Self { set, unset, former }
    }

    /// The values themselves.
    pub async fn open(&self, services: &Arc<Services>) -> Result<Values, Failure> {
        let mut values = Values::new();
        for (name, value) in &self.set {
            values.push((name.clone(), Some(services.secrets.text(value).await?)));
        }
        values.extend(self.unset.iter().map(|name| (name.clone(), None)));
        Ok(values)
    }

    /// The value to put back that the author gives.
    pub async fn former(&self, services: &Arc<Services>, name: &str) -> Result<Option<Secret>, Failure> {
        match self.former.iter().find(|(other, _)| other == name) {
            Some((_, value)) => services.secrets.text(value).await.map(Some),
            None => Ok(None),
        }
    }

    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.set.iter().map(|(name, _)| name).chain(&self.unset)
    }

    pub fn words(&self) -> String {
        let set = self.set.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        let parts = [("sets", set), ("unsets", self.unset.join(", "))];
        let parts = parts.into_iter().filter(|(_, names)| !names.is_empty());
        parts.map(|(verb, names)| format!("{verb} {names}")).collect::<Vec<_>>().join(", ")
    }
}

/// Names as the API takes them: letters, digits and underscores.
fn plain(params: &mut Params<'_>, name: &str, span: value::Span) {
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        let message = format!("`{}` is no name of a config var", clean_line(name, 60));
        params.mistake(span, message, "letters, digits and _", None);
    }
}

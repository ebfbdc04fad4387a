//! Steps of which the API offers only the checking: a person does it, says so, and what can be seen is looked at.

use serde_json::{Value as Json, json};

use crate::{
    base::{Class, Failure},
    plan::{Cx, contract::OwnerDone},
};

/// Waits for the owner's word.
///
/// # Errors
/// `Unknown`: the attempt was cut short, and nobody knows what its owner has done.
pub(in crate::kinds) async fn word(cx: &Cx) -> Result<OwnerDone, Failure> {
    let mut owner = cx.owner.clone();
    let unknown = |what: &str| {
        Failure::new(Class::Unknown, format!("{what} before its owner said that it is done"))
            .hint("ask the owner what has been done")
    };
    let said = tokio::select! {
        biased;
        said = owner.wait_for(Option::is_some) => said.ok().and_then(|said| said.clone()),
        () = cx.cancel.cancelled() => return Err(unknown("cancelled")),
    };
    said.ok_or_else(|| unknown("the run ended"))
}

/// `; not ticked off: …`, or nothing.
pub(in crate::kinds) fn left_open(said: &OwnerDone) -> String {
    if said.unticked.is_empty() { String::new() } else { format!("; not ticked off: {}", said.unticked.join("; ")) }
}

/// The word as it is kept.
pub(in crate::kinds) fn kept(said: &OwnerDone) -> Json {
    let mut kept = json!({ "who": said.who, "value": said.value });
    if !said.unticked.is_empty() {
        kept["unticked"] = json!(said.unticked);
    }
    kept
}

/// A failure behind the owner's word: what they did is done.
pub(in crate::kinds) fn after_word(failure: Failure, said: &OwnerDone) -> Failure {
    let class = if failure.class == Class::Failed { Class::Failed } else { Class::Unknown };
    Failure { class, ..failure }.because(format!("{} said that it is done", said.who))
}

pub(in crate::kinds) fn nothing_to_put_back() -> Failure {
    Failure::new(Class::Misconfigured, "what a person did cannot be put back by itself")
        .hint("give the step a rollback of its own")
}

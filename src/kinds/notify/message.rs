//! What is said, and how each receiver's language writes plain text.

use serde_json::{Value as Json, json};

use crate::{
    base::{bounded, clean},
    kinds::web::{
        ask::known,
        template::{Template, Values},
    },
    plan::{Params, TextOrSecret},
};

/// The longest text that is sent: far below what each receiver takes.
const TEXT: usize = 3000;
/// The values of the run.
pub(super) const NAMES: [&str; 3] = ["step", "attempt", "env"];

/// Text, a line above it, facts below it.
pub(super) struct Message {
    pub title: Option<Template>,
    pub text: Template,
    pub facts: Vec<(String, Template)>,
}

impl Message {
    pub fn read(params: &mut Params<'_>, needed: bool) -> Self {
        let text = template(params, "text");
        if needed && text.is_none() {
            let span = params.place();
            params.mistake(span, "`notify` needs `text` here", "nothing is said", None);
        }
        let mut facts = Vec::new();
        for (name, value) in params.map("facts") {
            match value {
                TextOrSecret::Text(text) => facts.push((name, Template::new(&text))),
                TextOrSecret::Secret(_) => {
                    let span = params.place_of("facts");
                    params.mistake(span, "a fact must not be a secret", "would be sent to everybody", None);
                }
            }
        }
        let names = NAMES.map(str::to_owned);
        for name in facts.iter().flat_map(|(_, fact)| fact.names()) {
            known(params, "facts", name, &names);
        }
        Self { title: template(params, "title"), text: text.unwrap_or_else(|| Template::new("")), facts }
    }

    pub fn text(&self, values: &Values) -> String {
        // Tabs and line ends are kept, everything that hides or reorders text is spelled out.
        clean(&self.text.text(values), TEXT)
    }

    fn title(&self, values: &Values) -> Option<String> {
        self.title.as_ref().map(|title| crate::base::clean_line(&title.text(values), 200))
    }

    fn facts(&self, values: &Values) -> Vec<(String, String)> {
        let fact = |(name, value): &(String, Template)| (bounded(name, 100), clean(&value.text(values), 500));
        self.facts.iter().map(fact).collect()
    }

    /// Facts as an object.
    pub fn details(&self, values: &Values) -> Json {
        Json::Object(self.facts(values).into_iter().map(|(name, value)| (name, Json::from(value))).collect())
    }

    /// The payload of a Slack incoming webhook. `&`, `<` and `>` are all that its text needs escaped; without `<` there is no
    /// mention, channel or link.
    pub fn slack(&self, values: &Values, mention: &str) -> Json {
        let mut lines = Vec::new();
        if let Some(title) = self.title(values) {
            // A star would end the bold.
            lines.push(format!("*{}*", slack(&title).replace('*', "∗")));
        }
        lines.push(format!("{mention}{}", slack(&self.text(values))));
        lines.extend(self.facts(values).iter().map(|(name, value)| format!("• {}: {}", slack(name), slack(value))));
        json!({ "text": lines.join("\n") })
    }

    /// A message with one Adaptive Card. Text stands in runs, which know no Markdown.
    pub fn teams(&self, values: &Values) -> Json {
        let run = |text: &str, bold: bool| {
            let mut run = json!({ "type": "TextRun", "text": text });
            if bold {
                (run["weight"], run["size"]) = (json!("Bolder"), json!("Medium"));
            }
            json!({ "type": "RichTextBlock", "inlines": [run] })
        };
        let mut body = Vec::new();
        body.extend(self.title(values).map(|title| run(&title, true)));
        // A line end in a run is not shown.
        body.extend(self.text(values).lines().filter(|line| !line.is_empty()).map(|line| run(line, false)));
        body.extend(self.facts(values).iter().map(|(name, value)| run(&format!("{name}: {value}"), false)));
        json!({
            "type": "message",
            "attachments": [{
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": null,
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.4",
                    "body": body,
                },
            }],
        })
    }
}

/// A text with the run's values in it.
pub(super) fn template(params: &mut Params<'_>, key: &'static str) -> Option<Template> {
    let template = Template::new(&crate::kinds::filled(params, key)?);
    let names = NAMES.map(str::to_owned);
    for name in template.names() {
        known(params, key, name, &names);
    }
    Some(template)
}

fn slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

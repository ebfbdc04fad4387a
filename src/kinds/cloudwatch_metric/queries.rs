//! What `cloudwatch.metric` asks: one metric, several with ids, expressions over them. Mistakes that CloudWatch
//! would only tell at night are found here: an id that nobody has, one that nobody uses, a statistic that there is not.

use std::time::Duration;

use crate::{
    plan::{Param, Params, Shape, TextOrSecret, nearest},
    runbook::value::{Kind, Span},
    services::aws::{MetricQuery, Source},
};

/// Entries that one request takes (`GetMetricData`, CloudWatch API reference).
const MOST: usize = 500;

/// One entry of `metrics`.
const ENTRY: &[Param] = &[
    Param {
        name: "id",
        shape: Shape::Text,
        required: true,
        help: "its name in expressions: a lower-case letter first",
    },
    Param { name: "namespace", shape: Shape::Text, required: false, help: "such as AWS/ApplicationELB" },
    Param { name: "metric", shape: Shape::Text, required: false, help: "name of the metric" },
    Param { name: "dimensions", shape: Shape::Map, required: false, help: "names and values; default: none" },
    Param { name: "stat", shape: Shape::Text, required: false, help: "Average, Sum, p99, …; default: Average" },
    Param { name: "expression", shape: Shape::Text, required: false, help: "metric math, instead of a metric" },
];

/// Keys of a single metric.
const METRIC: [&str; 4] = ["namespace", "metric", "dimensions", "stat"];

/// Those of some keys that are given.
pub(super) fn there(params: &Params<'_>, keys: &[&'static str]) -> Vec<&'static str> {
    keys.iter().copied().filter(|key| params.has(key)).collect()
}

/// What is asked, and how it is called in a line.
pub(super) struct Asked {
    pub queries: Vec<MetricQuery>,
    pub name: String,
}

pub(super) fn read(params: &mut Params<'_>, period: Duration) -> Asked {
    let query = |id: &str, source, returned| MetricQuery { id: id.to_owned(), source, period, returned };
    if !params.has("metrics") {
        let source = source(params);
        if let Source::Expression(text) = &source {
            uses(params, text, &[]);
        }
        let name = name(&source);
        return Asked { queries: vec![query("q1", source, true)], name };
    }
    for key in there(params, &METRIC) {
        let at = params.place_of(key);
        params.mistake(at, format!("`{key}` does not go with `metrics`"), "belongs into an entry of it", None);
    }
    let entries = entries(params);
    let ids: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
    let mut used = Vec::new();
    for entry in &entries {
        if let Source::Expression(text) = &entry.source {
            used.extend(uses_at(params, &entry.span, text, &ids));
        }
    }
    let whole = params.opt_text("expression");
    if let Some(text) = &whole {
        used.extend(uses(params, text, &ids));
        let takes_all = text.contains("METRICS(");
        for entry in entries.iter().filter(|entry| !takes_all && !used.contains(&entry.id)) {
            let words = format!("`{}` is not used by `expression`", entry.id);
            params.mistake(entry.span.clone(), words, "asked for and thrown away", None);
        }
    }
    let own = (1..).map(|n| format!("e{n}")).find(|id| !ids.contains(&id.as_str())).unwrap_or_default();
    let name = match &whole {
        Some(text) => text.clone(),
        None => entries.iter().map(|entry| name(&entry.source)).collect::<Vec<_>>().join(", "),
    };
    let mut queries: Vec<_> =
        entries.iter().map(|entry| query(&entry.id, entry.source.clone(), whole.is_none())).collect();
    queries.extend(whole.map(|text| query(&own, Source::Expression(text), true)));
    Asked { queries, name }
}

struct Entry {
    id: String,
    source: Source,
    span: Span,
}

fn entries(params: &mut Params<'_>) -> Vec<Entry> {
    let at = params.place_of("metrics");
    let Some(Kind::List(list)) = params.raw("metrics").map(|value| &value.kind) else {
        params.mistake(at, "`metrics` must be a list of tables", "expected a list", None);
        return Vec::new();
    };
    if list.is_empty() || list.len() >= MOST {
        let words = format!("`metrics` must have 1 to {} entries", MOST - 1);
        params.mistake(at, words, "CloudWatch takes no more", None);
    }
    let mut entries: Vec<Entry> = Vec::with_capacity(list.len());
    for item in list {
        let Kind::Table(table) = &item.kind else {
            let words = "`metrics` must be a list of tables";
            params.mistake(item.span.clone(), words, "expected { id = …, namespace = …, metric = … }", None);
            continue;
        };
        let mut inner = Params::new("metrics", item.span.clone(), table, ENTRY);
        let id = inner.text("id");
        let span = inner.place_of("id");
        let letters = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if inner.has("id") && !(letters && id.starts_with(|c: char| c.is_ascii_lowercase()) && id.len() <= 255) {
            let words = "an `id` is a lower-case letter, then letters, digits and _";
            inner.mistake(span.clone(), words, "CloudWatch takes no such id", None);
        } else if entries.iter().any(|entry| entry.id == id) {
            inner.mistake(span.clone(), format!("the id `{id}` is there twice"), "second time", None);
        }
        let source = source(&mut inner);
        params.absorb(inner);
        entries.push(Entry { id, source, span });
    }
    entries
}

/// A metric or an expression, from the keys that both kinds of table have.
fn source(params: &mut Params<'_>) -> Source {
    if let Some(text) = params.opt_text("expression") {
        for key in there(params, &METRIC) {
            let at = params.place_of(key);
            let help =
                Some("give several metrics in `metrics`, each with an `id`, to use them in an expression".into());
            params.mistake(at, format!("`{key}` does not go with `expression`"), "give one or the other", help);
        }
        return Source::Expression(text);
    }
    for key in ["namespace", "metric"] {
        if !params.has(key) && !params.has("expression") {
            let at = params.place();
            let words = format!("a metric needs `{key}`, or there is an `expression`");
            params.mistake(at, words, format!("`{key}` is missing here"), None);
        }
    }
    let dimensions = params.map("dimensions");
    let mut plain = Vec::with_capacity(dimensions.len());
    for (name, value) in dimensions {
        match value {
            TextOrSecret::Text(value) => plain.push((name, value)),
            TextOrSecret::Secret(_) => {
                let words = "a dimension must not be a secret";
                let at = params.place_of("dimensions");
                params.mistake(at, words, "would be shown in the clear", None);
            }
        }
    }
    let stat = params.opt_text("stat").unwrap_or_else(|| "Average".into());
    if !is_stat(&stat) {
        let at = params.place_of("stat");
        let help = nearest(&stat, STATS.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        let help = help.or_else(|| Some("Average, Sum, Minimum, Maximum, SampleCount, p99, tm90, …".into()));
        params.mistake(at, "`stat` must be a statistic of CloudWatch", "there is none of this name", help);
    }
    Source::Metric { namespace: params.text("namespace"), metric: params.text("metric"), dimensions: plain, stat }
}

const STATS: [&str; 6] = ["Average", "Sum", "Minimum", "Maximum", "SampleCount", "IQM"];

/// True of what "CloudWatch statistics definitions" knows: the plain ones, percentiles, and the trimmed ones
/// (`p99.9`, `tm90`, `TM(10%:90%)`, `PR(:300)`).
fn is_stat(stat: &str) -> bool {
    if STATS.contains(&stat) {
        return true;
    }
    let share = |text: &str| text.parse::<f64>().is_ok_and(|n| (0.0..=100.0).contains(&n));
    if let Some(rest) = stat.strip_prefix('p').filter(|rest| !rest.starts_with('r')) {
        return share(rest);
    }
    let Some((kind, rest)) = stat.split_at_checked(2) else { return false };
    let known = ["tm", "tc", "ts", "wm", "pr"].contains(&kind.to_ascii_lowercase().as_str());
    known && (share(rest) || (rest.starts_with('(') && rest.ends_with(')') && rest.contains(':')))
}

fn name(source: &Source) -> String {
    match source {
        Source::Metric { namespace, metric, stat, .. } => format!("{stat} of {namespace} {metric}"),
        Source::Expression(text) => text.clone(),
    }
}

/// The ids that the step's own expression uses.
fn uses(params: &mut Params<'_>, text: &str, ids: &[&str]) -> Vec<String> {
    let at = params.place_of("expression");
    uses_at(params, &at, text, ids)
}

/// The ids that an expression uses; one that nobody has is a mistake.
fn uses_at(params: &mut Params<'_>, at: &Span, text: &str, ids: &[&str]) -> Vec<String> {
    // Metrics Insights has names of columns, not ids.
    let is_query = text.trim_start().get(..6).is_some_and(|word| word.eq_ignore_ascii_case("select"));
    let names = if is_query { Vec::new() } else { names(text) };
    for name in names.iter().filter(|name| !ids.contains(&name.as_str())) {
        let help = nearest(name, ids.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        let help = help.or_else(|| Some("ids are given in `metrics`".into()));
        params.mistake(at.clone(), format!("no metric has the id `{name}`"), "uses it", help);
    }
    names
}

/// The words of an expression that begin with a lower-case letter and stand outside quotes: those are ids.
fn names(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '\'' | '"' => rest[1..].find(first).map_or(rest.len(), |at| at + 2),
            c if c.is_ascii_alphanumeric() || c == '_' => {
                let within = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.');
                rest.find(within).unwrap_or(rest.len())
            }
            c => c.len_utf8(),
        };
        let word = &rest[..end];
        if first.is_ascii_lowercase() && !names.iter().any(|name| name == word) {
            names.push(word.to_owned());
        }
        rest = &rest[end..];
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_expressions() {
        assert_eq!(names("100 * errors / all"), ["errors", "all"]);
        assert_eq!(names("IF(m1 > 1e3, FILL(m_2, REPEAT), m1)"), ["m1", "m_2"]);
        assert_eq!(names("SUM(SEARCH('{Acme,Host} a', 'Sum', 60))"), Vec::<String>::new());
        assert_eq!(names("METRICS(\"errors\") 'unclosed"), Vec::<String>::new());
        assert_eq!(names("é≥x"), ["x"]);
    }

    #[test]
    fn statistics() {
        for good in ["Average", "p99", "p99.9", "tm90", "TM(10%:90%)", "PR(:300)", "pr(100:)", "IQM", "WM(1%:)"] {
            assert!(is_stat(good), "{good}");
        }
        for bad in ["Avg", "average", "p", "p101", "pr", "tm", "", "p99x", "TM(10%)", "é"] {
            assert!(!is_stat(bad), "{bad}");
        }
    }
}

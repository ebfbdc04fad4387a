//! Which metrics a search (`{Namespace,Dimension} MetricName="…"`) or a Metrics Insights query (`SELECT … FROM …`)
//! means, after "Use search expressions in graphs" and "Metrics Insights query components and syntax".

use std::collections::BTreeMap;

use super::super::metrics::Metric;

/// A search: namespace and names of dimensions, and what has to match.
pub(super) struct Search {
    namespace: String,
    dimensions: Vec<String>,
    /// `Key="value"`, exactly; without a key, a part of any name or value.
    terms: Vec<(Option<String>, String)>,
}

/// A query: a statistic of metrics, by groups.
pub(super) struct Select {
    pub stat: &'static str,
    metric: String,
    namespace: String,
    /// The dimensions that `SCHEMA` names; `None`: any.
    schema: Option<Vec<String>>,
    conditions: Vec<(String, bool, String)>,
    pub group: Vec<String>,
}

/// A word, a quoted text or a sign.
fn tokens(text: &str) -> Result<Vec<String>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '\'' | '"' => rest[1..].find(first).ok_or("a quote is not closed")? + 2,
            '!' if rest.starts_with("!=") => 2,
            '{' | '}' | ',' | '=' | '(' | ')' => 1,
            _ => rest
                .find(|c: char| c.is_whitespace() || "{},=()!'\"".contains(c))
                .unwrap_or(rest.len())
                .max(first.len_utf8()),
        };
        tokens.push(rest[..end].to_owned());
        rest = rest[end..].trim_start();
    }
    Ok(tokens)
}

fn plain(token: &str) -> String {
    token.trim_matches(['\'', '"']).to_owned()
}

impl Search {
    /// Reads a search; it has to begin with a schema in braces.
    pub fn parse(text: &str) -> Result<Self, String> {
        let no = || "a search begins with {Namespace,Dimension,…}".to_owned();
        let tokens = tokens(text)?;
        let end = tokens.iter().position(|token| token == "}").ok_or_else(no)?;
        if tokens.first().is_none_or(|token| token != "{") {
            return Err(no());
        }
        let mut names = tokens[1..end].iter().filter(|token| *token != ",").map(|token| plain(token));
        let namespace = names.next().ok_or_else(no)?;
        let mut search = Self { namespace, dimensions: names.collect(), terms: Vec::new() };
        let mut rest = &tokens[end + 1..];
        while let Some((first, more)) = rest.split_first() {
            match more {
                [is, value, after @ ..] if is == "=" => {
                    search.terms.push((Some(plain(first)), plain(value)));
                    rest = after;
                }
                _ if ["AND", "(", ")"].contains(&first.as_str()) => rest = more,
                _ if ["OR", "NOT", "=", "!=", "{", "}", ","].contains(&first.as_str()) => {
                    return Err(format!("`{first}` in a search is not part of the sandbox"));
                }
                _ => {
                    search.terms.push((None, plain(first)));
                    rest = more;
                }
            }
        }
        Ok(search)
    }

    /// True of a metric that it finds: exactly these dimensions, and every term.
    pub fn finds(&self, metric: &Metric) -> bool {
        let holds = |(key, value): &(Option<String>, String)| match key.as_deref() {
            Some("MetricName") => metric.name == *value,
            Some("Namespace") => metric.namespace == *value,
            Some(key) => metric.dimensions.get(key) == Some(value),
            None => {
                let part = value.to_lowercase();
                let names = metric.dimensions.values().chain([&metric.name]);
                names.into_iter().any(|name| name.to_lowercase().contains(&part))
            }
        };
        metric.namespace == self.namespace
            && metric.dimensions.len() == self.dimensions.len()
            && self.dimensions.iter().all(|name| metric.dimensions.contains_key(name))
            && self.terms.iter().all(holds)
    }
}

impl Select {
    /// Reads `SELECT FUNCTION(metric) FROM namespace | SCHEMA(namespace, …) [WHERE …] [GROUP BY …]`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let tokens = tokens(text)?;
        let mut rest = tokens.iter().map(String::as_str).peekable();
        let mut word = |wanted: &str| match rest.next() {
            Some(word) if wanted.is_empty() || word.eq_ignore_ascii_case(wanted) => Ok(word.to_owned()),
            Some(word) => Err(format!("`{word}` stands where {wanted} has to")),
            None => Err(format!("it ends before {wanted}")),
        };
        word("SELECT")?;
        let stat = match word("")?.to_ascii_uppercase().as_str() {
            "AVG" => "Average",
            "COUNT" => "SampleCount",
            "MAX" => "Maximum",
            "MIN" => "Minimum",
            "SUM" => "Sum",
            other => return Err(format!("`{other}` is no function of Metrics Insights")),
        };
        word("(")?;
        let metric = plain(&word("")?);
        word(")")?;
        word("FROM")?;
        let from = word("")?;
        let (namespace, schema) = if from.eq_ignore_ascii_case("SCHEMA") {
            word("(")?;
            let namespace = plain(&word("")?);
            let mut names = Vec::new();
            while word("")? == "," {
                names.push(plain(&word("")?));
            }
            (namespace, Some(names))
        } else {
            (plain(&from), None)
        };
        let mut select = Self { stat, metric, namespace, schema, conditions: Vec::new(), group: Vec::new() };
        let mut rest: Vec<&str> = rest.collect();
        while let Some(clause) = rest.first().map(|word| word.to_ascii_uppercase()) {
            match (clause.as_str(), &rest[1..]) {
                ("WHERE" | "AND", [key, is @ ("=" | "!="), value, ..]) => {
                    select.conditions.push((plain(key), *is == "=", plain(value)));
                    rest.drain(..4);
                }
                ("GROUP", [by, key, ..]) if by.eq_ignore_ascii_case("BY") => {
                    select.group.push(plain(key));
                    rest.drain(..3);
                }
                (",", [key, ..]) if !select.group.is_empty() => {
                    select.group.push(plain(key));
                    rest.drain(..2);
                }
                // The order and the number of series change nothing here: there are few.
                ("ORDER" | "LIMIT", _) => break,
                _ => return Err(format!("`{}` is not part of the sandbox's Metrics Insights", rest[0])),
            }
        }
        Ok(select)
    }

    /// The group of a metric that it takes.
    pub fn takes(&self, metric: &Metric) -> Option<String> {
        let value = |key: &String| metric.dimensions.get(key);
        let fits = metric.namespace == self.namespace
            && metric.name == self.metric
            && self.schema.as_ref().is_none_or(|names| {
                names.len() == metric.dimensions.len() && names.iter().all(|name| value(name).is_some())
            })
            && self.conditions.iter().all(|(key, is, wanted)| (value(key) == Some(wanted)) == *is);
        let group: Option<Vec<&str>> = self.group.iter().map(|key| value(key).map(String::as_str)).collect();
        fits.then_some(group?.join(" "))
    }

    /// Metrics by group.
    pub fn groups<'m>(&self, metrics: impl Iterator<Item = &'m Metric>) -> BTreeMap<String, Vec<&'m Metric>> {
        let mut groups: BTreeMap<String, Vec<&Metric>> = BTreeMap::new();
        for metric in metrics {
            if let Some(group) = self.takes(metric) {
                groups.entry(group).or_default().push(metric);
            }
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(name: &str, dimensions: &[(&str, &str)]) -> Metric {
        let dimensions = dimensions.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Metric { namespace: "Acme/Shop".into(), name: name.into(), dimensions }
    }

    #[test]
    fn searches() {
        let finds = |text: &str| Search::parse(text).unwrap().finds(&metric("Errors", &[("Host", "web-1")]));
        for yes in ["{Acme/Shop,Host}", "{Acme/Shop,Host} errors", "{Acme/Shop,Host} MetricName=\"Errors\" Host=web-1"]
        {
            assert!(finds(yes), "{yes}");
        }
        for no in ["{Acme/Shop}", "{Acme/Shop,Host,Zone}", "{Other,Host}", "{Acme/Shop,Host} MetricName=\"Error\""] {
            assert!(!finds(no), "{no}");
        }
        assert!(Search::parse("errors").is_err() && Search::parse("{Acme/Shop} a OR b").is_err());
    }

    #[test]
    fn queries() {
        let query = |text: &str| Select::parse(text).unwrap();
        let web = metric("Errors", &[("Host", "web-1")]);
        let one = query("SELECT MAX(Errors) FROM \"Acme/Shop\" GROUP BY Host ORDER BY MAX() DESC LIMIT 5");
        assert_eq!((one.stat, one.takes(&web)), ("Maximum", Some("web-1".into())));
        assert_eq!(
            query("select sum(Errors) from SCHEMA(\"Acme/Shop\", Host) WHERE Host = 'web-1'").takes(&web),
            Some(String::new())
        );
        assert_eq!(query("SELECT SUM(Errors) FROM SCHEMA(\"Acme/Shop\", Zone)").takes(&web), None);
        assert_eq!(query("SELECT SUM(Errors) FROM \"Acme/Shop\" WHERE Host != 'web-1'").takes(&web), None);
        for bad in ["SELECT", "SELECT P99(x) FROM y", "SELECT SUM(x) FROM y HAVING z"] {
            assert!(Select::parse(bad).is_err(), "{bad}");
        }
    }
}

//! The rule of a composite alarm: `ALARM(name)`, `OK(name)`, `INSUFFICIENT_DATA(name)`, `TRUE`, `FALSE`, joined by
//! `AND`, `OR`, `NOT` and parentheses (`PutCompositeAlarm`, CloudWatch API reference).

use super::State;

/// Parentheses nested deeper are nobody's; it bounds the recursion.
const DEPTH: usize = 32;

/// A rule.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rule {
    Is(State, String),
    Constant(bool),
    Not(Box<Rule>),
    And(Box<Rule>, Box<Rule>),
    Or(Box<Rule>, Box<Rule>),
}

impl Rule {
    /// True where it holds; an alarm that is not there is in no state.
    pub fn holds(&self, of: &impl Fn(&str) -> Option<State>) -> bool {
        match self {
            Self::Is(state, name) => of(name) == Some(*state),
            Self::Constant(value) => *value,
            Self::Not(rule) => !rule.holds(of),
            Self::And(a, b) => a.holds(of) && b.holds(of),
            Self::Or(a, b) => a.holds(of) || b.holds(of),
        }
    }

    /// Every alarm that it names.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Is(_, name) => vec![name],
            Self::Constant(_) => Vec::new(),
            Self::Not(rule) => rule.names(),
            Self::And(a, b) | Self::Or(a, b) => [a.names(), b.names()].concat(),
        }
    }
}

/// Reads a rule whole.
///
/// # Errors
/// What stands where it must not.
pub(super) fn parse(text: &str) -> Result<Rule, String> {
    let mut reader = Reader { rest: text.trim_start(), depth: 0 };
    let rule = reader.either()?;
    if reader.rest.is_empty() { Ok(rule) } else { Err(reader.unexpected()) }
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn unexpected(&self) -> String {
        format!("unexpected `{}`", self.rest.chars().take(20).collect::<String>())
    }

    fn word(&mut self, word: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(word) else { return false };
        if word.len() > 1 && rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
            return false;
        }
        self.rest = rest.trim_start();
        true
    }

    fn either(&mut self) -> Result<Rule, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("it is nested too deeply".into());
        }
        let mut rule = self.both()?;
        while self.word("OR") {
            rule = Rule::Or(Box::new(rule), Box::new(self.both()?));
        }
        self.depth -= 1;
        Ok(rule)
    }

    fn both(&mut self) -> Result<Rule, String> {
        let mut rule = self.one()?;
        while self.word("AND") {
            rule = Rule::And(Box::new(rule), Box::new(self.one()?));
        }
        Ok(rule)
    }

    fn one(&mut self) -> Result<Rule, String> {
        if self.word("NOT") {
            self.depth += 1;
            if self.depth > DEPTH {
                return Err("it is nested too deeply".into());
            }
            let rule = self.one()?;
            self.depth -= 1;
            return Ok(Rule::Not(Box::new(rule)));
        }
        if self.word("(") {
            let rule = self.either()?;
            return if self.word(")") { Ok(rule) } else { Err(self.unexpected()) };
        }
        for (word, value) in [("TRUE", true), ("FALSE", false)] {
            if self.word(word) {
                return Ok(Rule::Constant(value));
            }
        }
        for state in [State::Ok, State::Alarm, State::Insufficient] {
            if self.word(state.word()) {
                let inner = self.rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
                let (name, rest) = inner.ok_or_else(|| self.unexpected())?;
                self.rest = rest.trim_start();
                let name = name.trim().trim_matches(['"', '\'']);
                // An ARN stands for the name at its end.
                let name = name.split_once(":alarm:").map_or(name, |(_, name)| name);
                return Ok(Rule::Is(state, name.to_owned()));
            }
        }
        Err(self.unexpected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        let of = |name: &str| match name {
            "a" => Some(State::Alarm),
            "b" => Some(State::Ok),
            _ => None,
        };
        for (text, holds) in [
            ("ALARM(a)", true),
            ("ALARM(\"a\") AND ALARM('b')", false),
            ("ALARM(b) OR ALARM(a) AND NOT ALARM(b)", true),
            ("(ALARM(b) OR ALARM(a)) AND OK(a)", false),
            ("NOT (OK(nobody) OR FALSE)", true),
            ("OK(arn:aws:cloudwatch:eu-west-1:1:alarm:b)", true),
            ("INSUFFICIENT_DATA(a) OR TRUE", true),
        ] {
            assert_eq!(parse(text).unwrap().holds(&of), holds, "{text}");
        }
        for bad in ["", "ALARM", "ALARM(a", "ALARM(a) OK(b)", "a AND b", &"(".repeat(9999), &"NOT ".repeat(9999)] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(parse("ALARM(a) OR NOT OK(b)").unwrap().names(), ["a", "b"]);
    }
}

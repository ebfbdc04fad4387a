//! Metric math, read: the grammar of "Using metric math" (CloudWatch user guide), from a text to a tree.

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expr {
    /// A number.
    Number(f64),
    /// A text, only as an argument of a function.
    Text(String),
    /// The id of another query; in capitals a word such as `REPEAT`.
    Name(String),
    /// `-x`, `!x`.
    Unary(char, Box<Expr>),
    /// `a + b`, `a >= b`, `a && b`, ….
    Binary(&'static str, Box<Expr>, Box<Expr>),
    /// `NAME(a, b)`.
    Call(String, Vec<Expr>),
    /// `[a, b]`.
    List(Vec<Expr>),
}

/// Operators by how tightly they bind, the loosest first; in a level, longer spellings first.
const LEVELS: &[&[(&str, &str)]] = &[
    &[("||", "||"), ("OR ", "||")],
    &[("&&", "&&"), ("AND ", "&&")],
    &[("==", "=="), ("!=", "!="), ("<=", "<="), (">=", ">="), ("<", "<"), (">", ">")],
    &[("+", "+"), ("-", "-")],
    &[("*", "*"), ("/", "/")],
];

/// Parentheses nested deeper are nobody's; it bounds the recursion.
const DEPTH: usize = 32;

/// Reads an expression whole.
///
/// # Errors
/// What stands where it must not, in words.
pub(super) fn parse(text: &str) -> Result<Expr, String> {
    let mut reader = Reader { rest: text.trim_start(), depth: 0 };
    let expr = reader.level(0)?;
    if reader.rest.is_empty() { Ok(expr) } else { Err(reader.unexpected()) }
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn unexpected(&self) -> String {
        match self.rest.chars().next() {
            None => "it ends too early".into(),
            Some(_) => {
                let near: String = self.rest.chars().take(20).collect();
                format!("unexpected `{near}`")
            }
        }
    }

    fn take(&mut self, token: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(token) else { return false };
        self.rest = rest.trim_start();
        true
    }

    fn level(&mut self, level: usize) -> Result<Expr, String> {
        let Some(operators) = LEVELS.get(level) else { return self.power() };
        if level == 0 {
            self.depth += 1;
            if self.depth > DEPTH {
                return Err("it is nested too deeply".into());
            }
        }
        let mut left = self.level(level + 1)?;
        while let Some((_, operator)) = operators.iter().find(|(token, _)| self.take(token)) {
            left = Expr::Binary(operator, Box::new(left), Box::new(self.level(level + 1)?));
        }
        if level == 0 {
            self.depth -= 1;
        }
        Ok(left)
    }

    /// `a ^ b ^ c`, from the right.
    fn power(&mut self) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("it is nested too deeply".into());
        }
        let sign = ['-', '!'].into_iter().find(|sign| self.take(sign.encode_utf8(&mut [0; 4])));
        let expr = match sign {
            Some(sign) => Expr::Unary(sign, Box::new(self.power()?)),
            None => {
                let base = self.primary()?;
                if self.take("^") { Expr::Binary("^", Box::new(base), Box::new(self.power()?)) } else { base }
            }
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn primary(&mut self) -> Result<Expr, String> {
        let first = self.rest.chars().next().ok_or_else(|| self.unexpected())?;
        match first {
            '(' => {
                self.take("(");
                let inner = self.level(0)?;
                if self.take(")") { Ok(inner) } else { Err(self.unexpected()) }
            }
            '[' => {
                self.take("[");
                Ok(Expr::List(self.list("]")?))
            }
            '\'' | '"' => {
                let end = self.rest[1..].find(first).ok_or("a quote is not closed")?;
                let text = self.rest[1..=end].to_owned();
                self.rest = self.rest[end + 2..].trim_start();
                Ok(Expr::Text(text))
            }
            '0'..='9' | '.' => {
                let end = self.rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(self.rest.len());
                let number = self.rest[..end].parse().map_err(|_| self.unexpected())?;
                self.rest = self.rest[end..].trim_start();
                Ok(Expr::Number(number))
            }
            c if c.is_ascii_alphabetic() => {
                let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
                let name = self.rest[..end].to_owned();
                self.rest = self.rest[end..].trim_start();
                if self.take("(") { Ok(Expr::Call(name, self.list(")")?)) } else { Ok(Expr::Name(name)) }
            }
            _ => Err(self.unexpected()),
        }
    }

    /// What stands between commas, up to the end.
    fn list(&mut self, end: &str) -> Result<Vec<Expr>, String> {
        let mut list = Vec::new();
        if self.take(end) {
            return Ok(list);
        }
        loop {
            list.push(self.level(0)?);
            if self.take(end) {
                return Ok(list);
            }
            if !self.take(",") {
                return Err(self.unexpected());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precedence() {
        let name = |n: &str| Box::new(Expr::Name(n.into()));
        let binary = |op, a, b| Expr::Binary(op, a, b);
        assert_eq!(
            parse("a + b * c ^ d").unwrap(),
            binary("+", name("a"), Box::new(binary("*", name("b"), Box::new(binary("^", name("c"), name("d"))))))
        );
        assert_eq!(parse("a - b - c").unwrap(), binary("-", Box::new(binary("-", name("a"), name("b"))), name("c")));
        assert_eq!(
            parse(" a>=1 AND b ").unwrap(),
            binary("&&", Box::new(binary(">=", name("a"), Box::new(Expr::Number(1.0)))), name("b"))
        );
        assert_eq!(
            parse("FILL([m1,m2], -0.5)").unwrap(),
            Expr::Call(
                "FILL".into(),
                vec![Expr::List(vec![*name("m1"), *name("m2")]), Expr::Unary('-', Box::new(Expr::Number(0.5)))]
            )
        );
    }

    #[test]
    fn refuses_what_is_not_whole() {
        let deep = "(".repeat(10_000);
        let minus = "-".repeat(10_000);
        for bad in ["", "a +", "(a", "a b", "FILL(a", "'x", "1.2.3", "a ? b", &deep, &minus] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}

//! Reads a password out of a netrc file (netrc(5), and as GNU and curl extend it): words between blanks, in quotes where
//! they hold blanks; a comment from a word that begins with `#`; a macro up to the next empty line. The entry that
//! names the machine counts, wherever it stands; `default` only where none does.

/// The password of the first of these machines that the file names.
pub(super) fn password(text: &str, machines: &[&str]) -> Option<String> {
    let entries = entries(text);
    let named = machines.iter().find_map(|machine| {
        entries.iter().find(|entry| entry.machine.as_deref() == Some(machine)).and_then(|entry| entry.password.clone())
    });
    let default = || entries.iter().find(|entry| entry.machine.is_none()).and_then(|entry| entry.password.clone());
    named.or_else(default).filter(|password| !password.is_empty())
}

#[derive(Default)]
struct Entry {
    /// `None`: `default`.
    machine: Option<String>,
    password: Option<String>,
}

fn entries(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut in_macro = false;
    let mut key: Option<&str> = None;
    for line in text.lines() {
        if in_macro {
            in_macro = !line.trim().is_empty();
            continue;
        }
        let mut rest = line;
        while let Some((word, quoted, after)) = word(rest) {
            rest = after;
            match key.take() {
                Some("machine") => entries.push(Entry { machine: Some(word), password: None }),
                Some("password") => {
                    if let Some(entry) = entries.last_mut() {
                        entry.password.get_or_insert(word);
                    }
                }
                Some(_) => {}
                None if quoted => {}
                None => match word.as_str() {
                    "machine" => key = Some("machine"),
                    "password" => key = Some("password"),
                    "login" | "account" => key = Some("other"),
                    "default" => entries.push(Entry::default()),
                    "macdef" => {
                        in_macro = true;
                        break;
                    }
                    word if word.starts_with('#') => break,
                    _ => {}
                },
            }
        }
    }
    entries
}

/// The next word, whether it stood in quotes, and what follows it.
fn word(text: &str) -> Option<(String, bool, &str)> {
    let text = text.trim_start();
    let mut chars = text.char_indices();
    let Some('"') = text.chars().next() else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_owned(), false, &text[end..]));
    };
    chars.next();
    let mut word = String::new();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((word, true, &text[at + 1..])),
            '\\' => match chars.next().map(|(_, c)| c)? {
                'n' => word.push('\n'),
                't' => word.push('\t'),
                'r' => word.push('\r'),
                c => word.push(c),
            },
            c => word.push(c),
        }
    }
    // A quote that nobody closes was part of the word.
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    Some((text[..end].to_owned(), false, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, machine: &str) -> Option<String> {
        password(text, &[machine])
    }

    #[test]
    fn the_machine_that_is_named() {
        let text = "# mine\nmachine git.heroku.com login a password no\nmachine api.heroku.com\n  login a@b.c\n  password HRKU-1\n\
                    macdef init\nmachine x password trap\n\nmachine 127.0.0.1:5000 password local\n";
        assert_eq!(of(text, "api.heroku.com").as_deref(), Some("HRKU-1"));
        assert_eq!(password(text, &["127.0.0.1:5000", "127.0.0.1"]).as_deref(), Some("local"));
        assert_eq!(of(text, "x"), None);
        assert_eq!(
            of("machine login password password machine machine api.heroku.com", "login").as_deref(),
            Some("password")
        );
        assert_eq!(
            of("machine api.heroku.com\r\n\tlogin a\r\n\tpassword b\r\n", "api.heroku.com").as_deref(),
            Some("b")
        );
    }

    #[test]
    fn a_default_comes_last_wherever_it_stands() {
        let text = "default login me password any\nmachine api.heroku.com password mine\n";
        assert_eq!(password(text, &["api.heroku.com:1", "api.heroku.com"]).as_deref(), Some("mine"));
        assert_eq!(of(text, "elsewhere").as_deref(), Some("any"));
        assert_eq!(of("machine a password b", "elsewhere"), None);
    }

    #[test]
    fn quotes_comments_and_odd_passwords() {
        assert_eq!(of(r#"machine m password "two words""#, "m").as_deref(), Some("two words"));
        assert_eq!(of(r#"machine "m" password "a\"b\\c""#, "m").as_deref(), Some(r#"a"b\c"#));
        assert_eq!(of("machine m password #no-comment", "m").as_deref(), Some("#no-comment"));
        assert_eq!(of("machine m # password trap\npassword right", "m").as_deref(), Some("right"));
        assert_eq!(of("machine m password \"open", "m").as_deref(), Some("\"open"));
        assert_eq!(of("machine m login \"password\" password x", "m").as_deref(), Some("x"));
        assert_eq!(of("machine m password \"\"", "m"), None);
        assert_eq!(of("machine m password", "m"), None);
    }
}

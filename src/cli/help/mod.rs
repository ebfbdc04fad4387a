//! `gonogo help TOPIC`: the texts, and the tables made from what the program itself uses.

use std::fmt::Write as _;

use super::exit::Exit;

/// A topic.
pub struct Topic {
    /// Its name.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    text: Text,
}

enum Text {
    Static(&'static str),
    Made(fn() -> String),
    /// The screen's own key table; the caller has it.
    Keys(&'static str),
}

/// Every topic, by name.
pub static TOPICS: &[Topic] = &[
    Topic {
        name: "environment",
        summary: "variables that are read",
        text: Text::Static(include_str!("environment.txt")),
    },
    Topic { name: "exit-codes", summary: "what the exit code says", text: Text::Made(exit_codes) },
    Topic {
        name: "faults",
        summary: "what happens when things break, and what to do",
        text: Text::Static(include_str!("faults.txt")),
    },
    Topic { name: "keys", summary: "keys of the screen, words of --plain", text: Text::Keys(include_str!("keys.txt")) },
    Topic {
        name: "permissions",
        summary: "what has to be allowed at AWS and Heroku, and how to rehearse with it",
        text: Text::Static(include_str!("permissions.txt")),
    },
    Topic {
        name: "safety",
        summary: "how the keyboard is kept from touching the world",
        text: Text::Static(include_str!("safety.txt")),
    },
    Topic {
        name: "votes",
        summary: "how people vote, look on and note from their own terminals",
        text: Text::Static(include_str!("votes.txt")),
    },
];

/// The topic of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Topic> {
    TOPICS.iter().find(|topic| topic.name == name)
}

impl Topic {
    /// The text, ending in a line end. `keys` is the screen's key table as lines.
    #[must_use]
    pub fn text(&self, keys: &str) -> String {
        match &self.text {
            Text::Static(text) => (*text).to_owned(),
            Text::Made(make) => make(),
            Text::Keys(words) => {
                let gap = if keys.is_empty() { "" } else { "\n" };
                format!(
                    "{}{gap}{words}",
                    if keys.is_empty() { String::new() } else { format!("{}\n", keys.trim_end()) }
                )
            }
        }
    }
}

/// The list of topics.
#[must_use]
pub fn topics() -> String {
    let mut out = String::from("gonogo help TOPIC, where TOPIC is one of:\n\n");
    for topic in TOPICS {
        // Writing to a string does not fail.
        let _ok = writeln!(out, "  {:<12} {}", topic.name, topic.summary);
    }
    out + "\ngonogo VERB --help tells the flags of a verb, gonogo kinds the kinds of steps and checks.\n"
}

fn exit_codes() -> String {
    let mut out = String::from("Exit codes are stable. Standard output is data, standard error is talk.\n\n");
    for exit in Exit::ALL {
        let _ok = writeln!(out, "{:>5}  {}", exit.code(), exit.words());
    }
    out + "\n10, 11, 12 and 129 leave a run that can go on: gonogo resume.\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_sorted_told_and_narrow() {
        let mut last = "";
        for topic in TOPICS {
            assert!(topic.name > last, "{} stands behind {last}", topic.name);
            last = topic.name;
            let text = topic.text("space  HOLD\n");
            assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{}", topic.name);
            for line in text.lines() {
                assert!(line.chars().count() <= 100, "{}: {line}", topic.name);
            }
            assert!(topics().contains(topic.name));
        }
        assert!(find("keys").is_some_and(|topic| topic.text("space  HOLD").starts_with("space  HOLD\n\n")));
        assert!(find("nothing").is_none());
        for exit in Exit::ALL {
            assert!(exit_codes().contains(&format!("{:>5}  {}", exit.code(), exit.words())));
        }
    }
}

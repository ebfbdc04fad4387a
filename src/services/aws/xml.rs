//! The answers of AWS's query protocol: a small tree of names and texts. Read in full, because
//! answers are small and bounded before they come here.

use quick_xml::{Reader, events::Event};

/// An element.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub name: String,
    pub text: String,
    pub children: Vec<Node>,
}

/// Deeper than any answer of AWS; stops a hostile one from growing the stack of open elements.
const DEPTH: usize = 32;

impl Node {
    /// Reads a document; the root element.
    ///
    /// # Errors
    /// What is wrong with the XML, as a lower-case fragment.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader::from_str(text);
        let mut open = vec![Self::default()];
        loop {
            match reader.read_event().map_err(|e| format!("bad XML: {e}"))? {
                Event::Start(start) => {
                    if open.len() > DEPTH {
                        return Err("bad XML: nested too deeply".into());
                    }
                    open.push(Self { name: start.local_name().as_ref().to_owned(), ..Self::default() });
                }
                Event::Empty(start) => {
                    let node = Self { name: start.local_name().as_ref().to_owned(), ..Self::default() };
                    if let Some(parent) = open.last_mut() {
                        parent.children.push(node);
                    }
                }
                Event::End(_) => {
                    let done = open.pop();
                    match (open.last_mut(), done) {
                        (Some(parent), Some(done)) => parent.children.push(done),
                        _ => return Err("bad XML: an end without a start".into()),
                    }
                }
                Event::Text(text) => open.last_mut().into_iter().for_each(|n| n.text.push_str(&text.xml10_content())),
                Event::CData(data) => open.last_mut().into_iter().for_each(|n| n.text.push_str(&data.xml10_content())),
                Event::GeneralRef(reference) => {
                    let c = match reference.resolve_char_ref() {
                        Ok(Some(c)) => c,
                        _ => named(&reference).ok_or("bad XML: an unknown entity")?,
                    };
                    open.last_mut().into_iter().for_each(|n| n.text.push(c));
                }
                Event::Eof => break,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
        match (open.pop(), open.is_empty()) {
            (Some(mut root), true) if !root.children.is_empty() => Ok(root.children.swap_remove(0)),
            _ => Err("bad XML: no complete element".into()),
        }
    }

    /// The element at a path of names, the first of each: `Error/Code`.
    pub fn at(&self, path: &str) -> Option<&Self> {
        path.split('/').try_fold(self, |node, name| node.children.iter().find(|c| c.name == name))
    }

    /// The text at a path; empty where there is none.
    pub fn text(&self, path: &str) -> &str {
        self.at(path).map_or("", |node| node.text.trim())
    }

    /// The `member`s of the list at a path.
    pub fn members<'n>(&'n self, path: &str) -> impl Iterator<Item = &'n Self> + use<'n> {
        self.each(path, "member")
    }

    /// The elements of a name in the list at a path, where a service calls them otherwise (`DBInstances`, `DBInstance`).
    pub fn each<'n>(&'n self, path: &str, name: &'static str) -> impl Iterator<Item = &'n Self> + use<'n> {
        self.at(path).into_iter().flat_map(move |list| list.children.iter().filter(move |c| c.name == name))
    }
}

fn named(name: &str) -> Option<char> {
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "apos" => '\'',
        "quot" => '"',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_answers_and_errors() {
        let text = r#"<?xml version="1.0"?><R xmlns="https://x/"><L><member><A>1 &lt; 2 &#38; 3</A></member><member/></L>
            <E><Code>Throttling</Code></E></R>"#;
        let root = Node::parse(text).unwrap();
        assert_eq!((root.name.as_str(), root.text("E/Code"), root.text("E/None")), ("R", "Throttling", ""));
        let members: Vec<_> = root.members("L").collect();
        assert_eq!((members.len(), members[0].text("A")), (2, "1 < 2 & 3"));
    }

    #[test]
    fn refuses_what_is_not_whole() {
        for bad in ["", "x", "<a>", "<a></b>", "</a>", "<a>&nosuch;</a>", &"<a>".repeat(99)] {
            assert!(Node::parse(bad).is_err(), "{bad}");
        }
    }
}

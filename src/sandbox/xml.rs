//! Small XML: an element tree read from a request, and a tree written as an answer. Names are taken
//! without their prefix; attributes, comments and declarations are skipped.

use quick_xml::{Reader, XmlVersion, events::Event};

/// An element: its name, its text where it has no children, its children.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Node {
    pub name: String,
    pub text: String,
    pub children: Vec<Node>,
}

/// Elements nested deeper than this are not AWS's; it bounds the recursion of everything that walks a tree.
const DEPTH: usize = 32;

impl Node {
    /// An element with children.
    pub fn of(name: &str, children: impl IntoIterator<Item = Node>) -> Self {
        Self { name: name.into(), text: String::new(), children: children.into_iter().collect() }
    }

    /// An element with text.
    pub fn leaf(name: &str, text: impl ToString) -> Self {
        Self { name: name.into(), text: text.to_string(), children: Vec::new() }
    }

    /// The first child of a name.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first child of a name.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.get(name).map(|child| child.text.as_str())
    }

    /// Reads a document; `None` where it is not well formed, or too deep.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::from_str(std::str::from_utf8(body).ok()?);
        let mut open: Vec<Node> = Vec::new();
        loop {
            let closed = match reader.read_event().ok()? {
                Event::Start(tag) if open.len() < DEPTH => {
                    open.push(Self::leaf(tag.local_name().as_ref(), ""));
                    None
                }
                Event::Empty(tag) => Some(Self::leaf(tag.local_name().as_ref(), "")),
                Event::End(_) => open.pop(),
                Event::Text(text) => {
                    let text = text.xml10_content();
                    match open.last_mut() {
                        Some(node) => node.text.push_str(&text),
                        None if text.trim().is_empty() => {}
                        None => return None,
                    }
                    None
                }
                Event::CData(text) => {
                    open.last_mut()?.text.push_str(&text.xml10_content());
                    None
                }
                Event::GeneralRef(reference) => {
                    let c = match reference.resolve_char_ref().ok()? {
                        Some(c) => c,
                        None => match reference.xml_content(XmlVersion::Implicit1_0).as_ref() {
                            "lt" => '<',
                            "gt" => '>',
                            "amp" => '&',
                            "quot" => '"',
                            "apos" => '\'',
                            _ => return None,
                        },
                    };
                    open.last_mut()?.text.push(c);
                    None
                }
                Event::Eof | Event::Start(_) | Event::DocType(_) => return None,
                Event::Decl(_) | Event::Comment(_) | Event::PI(_) => None,
            };
            if let Some(mut node) = closed {
                if !node.children.is_empty() {
                    node.text.clear();
                }
                match open.last_mut() {
                    Some(parent) => parent.children.push(node),
                    None => return Some(node),
                }
            }
        }
    }

    fn write(&self, out: &mut String) {
        let name = &self.name;
        out.push_str(&format!("<{name}>"));
        out.push_str(&quick_xml::escape::escape(self.text.as_str()));
        for child in &self.children {
            child.write(out);
        }
        // An attribute, where the caller gave one, is not part of the end tag.
        out.push_str(&format!("</{}>", name.split(' ').next().unwrap_or(name)));
    }

    /// The document with its declaration.
    pub fn document(&self) -> Vec<u8> {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        self.write(&mut out);
        out.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let tree = Node::of("A", [Node::leaf("B", "x<&>\"'é"), Node::of("C", [Node::leaf("D", "")])]);
        assert_eq!(Node::parse(&tree.document()), Some(tree));
        let spaced = Node::parse(b"<?xml version='1.0'?>\n<a xmlns='x'>\n <n:b>1 &#x41;</n:b> <c/>\n</a>").unwrap();
        assert_eq!(spaced, Node::of("a", [Node::leaf("b", "1 A"), Node::leaf("c", "")]));
        for bad in [&b"<a>"[..], b"<a></b>", b"", b"x", b"\xff", b"<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>"] {
            assert_eq!(Node::parse(bad), None, "{}", String::from_utf8_lossy(bad));
        }
        assert_eq!(Node::parse("<a>".repeat(100_000).as_bytes()), None);
    }
}

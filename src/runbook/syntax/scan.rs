//! A first look at tokens and grammar, which builds nothing: what is too deep is turned away here,
//! and a flood of mistakes ends here.

use toml_parser::{
    ErrorSink, Expected, ParseError,
    decoder::Encoding,
    lexer::TokenKind,
    parser::{EventReceiver, ValidateWhitespace, parse_document},
};

use super::{DEPTH, KEY_PARTS, too_deep};
use crate::runbook::{Code, Diagnostic, Diagnostics, Source, value::Span};

/// With more broken places than this the rest of the file is noise.
pub(super) const BROKEN: usize = 20;

/// A place that is not TOML.
pub(super) struct Broken {
    pub span: Span,
    message: String,
    /// True where what follows cannot be trusted; false where only this value is unreadable.
    pub structure: bool,
}

/// Every broken place, at most one more than [`BROKEN`]. `None`: turned away.
pub(super) fn scan(source: &Source, diagnostics: &mut Diagnostics) -> Option<Vec<Broken>> {
    let text = toml_parser::Source::new(source.text());
    let tokens = text.lex().into_vec();
    let (mut dots, mut depth) = (0, 0_usize);
    for token in &tokens {
        match token.kind() {
            TokenKind::Dot => dots += 1,
            TokenKind::Equals | TokenKind::Newline | TokenKind::Comma => dots = 0,
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => depth += 1,
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => depth = depth.saturating_sub(1),
            _ => {}
        }
        // Brackets left open by a mistake add up, so the exact bound is the tree's to hold.
        if dots >= KEY_PARTS || depth > 2 * DEPTH {
            diagnostics.push(too_deep(token.span().start()..token.span().end()));
            return None;
        }
    }
    let mut decode = Decode { text, unreadable: Vec::new() };
    let mut broken = Vec::new();
    let mut sink = |error: ParseError| {
        // A comment or line end with a stray character breaks nothing behind it.
        let structure = !error.description().contains("comment") && !error.description().contains("carriage return");
        keep(&mut broken, error, structure);
    };
    parse_document(&tokens, &mut ValidateWhitespace::new(&mut decode, text), &mut sink);
    broken.append(&mut decode.unreadable);
    broken.sort_by_key(|broken| broken.span.start);
    // The first mistake of a line is the one to mend; the others mostly follow from it.
    broken.dedup_by_key(|broken| source.line_index(broken.span.start));
    Some(broken)
}

fn keep(list: &mut Vec<Broken>, error: ParseError, structure: bool) {
    if list.len() <= 4 * BROKEN {
        let span = error.unexpected().or(error.context()).map_or(0..0, |s| s.start()..s.end());
        list.push(Broken { span, message: words(&error), structure });
    }
}

/// Reads every key and value once, only for its mistakes.
struct Decode<'s> {
    text: toml_parser::Source<'s>,
    unreadable: Vec<Broken>,
}

impl EventReceiver for Decode<'_> {
    fn simple_key(&mut self, span: toml_parser::Span, encoding: Option<Encoding>, _: &mut dyn ErrorSink) {
        if let Some(raw) = self.text.input().get(span.start()..span.end()) {
            let unreadable = &mut self.unreadable;
            toml_parser::Raw::new_unchecked(raw, encoding, span)
                .decode_key(&mut (), &mut |error: ParseError| keep(unreadable, error, true));
        }
    }

    fn scalar(&mut self, span: toml_parser::Span, encoding: Option<Encoding>, _: &mut dyn ErrorSink) {
        if let Some(raw) = self.text.input().get(span.start()..span.end()) {
            let unreadable = &mut self.unreadable;
            let _kind = toml_parser::Raw::new_unchecked(raw, encoding, span)
                .decode_scalar(&mut (), &mut |error: ParseError| keep(unreadable, error, false));
        }
    }
}

fn words(error: &ParseError) -> String {
    const NAMED: usize = 3;
    let mut words = error.description().to_owned();
    let expected = error.expected().unwrap_or_default();
    for (i, expected) in expected.iter().take(if expected.len() > NAMED { 0 } else { NAMED }).enumerate() {
        words.push_str(if i == 0 { ", expected " } else { " or " });
        match expected {
            Expected::Literal("\n") => words.push_str("a line end"),
            Expected::Literal(literal) => words.push_str(&format!("`{literal}`")),
            Expected::Description(text) => words.push_str(text),
            _ => words.push_str("something else"),
        }
    }
    words
}

impl Broken {
    pub(super) fn diagnostic(self, source: &Source) -> Diagnostic {
        let line = source.slice(&source.line(source.line_index(self.span.start))).trim();
        let diagnostic =
            Diagnostic::error(Code::SYNTAX, self.span, format!("this is not TOML: {}", self.message)).label("here");
        let curly = |c: char| matches!(c, '\u{201c}' | '\u{201d}' | '\u{2018}' | '\u{2019}');
        let colon =
            line.split_once(':').is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
        if line.contains(curly) {
            diagnostic.help("write straight quotes: \"…\"")
        } else if colon {
            diagnostic.help("TOML writes `key = \"value\"`, not `key: value`")
        } else if self.message.contains("escape") {
            diagnostic.help("a backslash in \"…\" is written twice; in '…' it stands for itself")
        } else if self.message.contains("must be quoted") {
            diagnostic.help("text stands in quotes: key = \"value\"")
        } else if self.message.contains("key with no value") {
            diagnostic.help("a line is `key = value` or a `[table]`")
        } else {
            diagnostic
        }
    }
}

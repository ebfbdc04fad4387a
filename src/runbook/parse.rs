//! From bytes to a [`Runbook`], with every mistake of the file.
//!
//! ```text
//! bytes ─text─ size, UTF-8, NUL ─syntax─ Table ─bind─ Runbook ─meaning─ names, order, secrets, variables
//!                    └──────────────── Diagnostics ────────────────────┘
//! ```
//!
//! Where the TOML itself is broken, what stands after the first broken place cannot be trusted, so
//! from there on only the syntax is reported.

use std::sync::Arc;

use super::{
    Code, Diagnostic, Diagnostics, Runbook, Source, bind, meaning,
    syntax::{self, Toml},
};

/// A larger file is not a runbook. Bytes.
pub const MAX_BYTES: usize = 1024 * 1024;
/// More steps than this are not one night. Steps.
pub const MAX_STEPS: usize = 2000;

/// What came of a file.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The runbook. With errors it is only good for finding more of them: missing values are
    /// replaced by harmless ones, ids may occur twice, names may point nowhere. `None` where not even that much was there.
    pub runbook: Option<Runbook>,
    /// Everything that is wrong. A runbook may be run only where this has no errors.
    pub diagnostics: Diagnostics,
}

impl Parsed {
    /// The runbook, where nothing forbids to use it.
    ///
    /// # Errors
    /// All mistakes, at least one of them an error.
    pub fn usable(self) -> Result<(Runbook, Diagnostics), Diagnostics> {
        match self.runbook {
            Some(runbook) if !self.diagnostics.has_errors() => Ok((runbook, self.diagnostics)),
            _ => Err(self.diagnostics),
        }
    }
}

/// Reads a runbook. `path` is only for showing. Never panics, whatever the bytes.
#[must_use]
pub fn parse(bytes: &[u8], path: &str) -> Parsed {
    let (source, mistake) = text(bytes, path);
    let mut diagnostics = Diagnostics::new(Arc::new(source));
    if let Some(mistake) = mistake {
        diagnostics.push(mistake);
        return Parsed { runbook: None, diagnostics };
    }
    let runbook = understand(&mut diagnostics);
    Parsed { runbook, diagnostics }
}

fn text(bytes: &[u8], path: &str) -> (Source, Option<Diagnostic>) {
    if bytes.len() > MAX_BYTES {
        let start = String::from_utf8_lossy(&bytes[..400]).into_owned();
        let mistake = Diagnostic::error(
            Code::TOO_LARGE,
            0..0,
            // How many is not known here: nobody reads a file further than that.
            format!("the file has more than {MAX_BYTES} bytes (1 MiB), the most that a runbook may have"),
        )
        .label("this does not look like a runbook");
        return (Source::new(path, start, bytes), Some(mistake));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            let nul = text.find('\0').map(|at| {
                Diagnostic::error(Code::NUL, at..at + 1, "the file holds a NUL byte")
                    .label("not text")
                    .help("a runbook is plain text: was this saved as UTF-16, or is it a binary file?")
            });
            (Source::new(path, text.to_owned(), bytes), nul)
        }
        Err(error) => {
            let at = error.valid_up_to();
            let mistake = Diagnostic::error(
                Code::NOT_UTF8,
                at..at + char::REPLACEMENT_CHARACTER.len_utf8(),
                format!("the file is not UTF-8: byte 0x{:02x} at offset {at}", bytes[at]),
            )
            .label("not UTF-8 from here")
            .help("save the file as UTF-8 (`iconv -f LATIN1 -t UTF-8` converts an older one)");
            (Source::new(path, String::from_utf8_lossy(bytes).into_owned(), bytes), Some(mistake))
        }
    }
}

fn understand(diagnostics: &mut Diagnostics) -> Option<Runbook> {
    let source = Arc::clone(diagnostics.source());
    meaning::find_lookalikes(&source, diagnostics);
    let Toml { table, broken_at } = syntax::read(&source, diagnostics)?;
    if table.entries.is_empty() {
        if broken_at.is_none() {
            let all = 0..source.text().len();
            diagnostics.push(
                Diagnostic::error(Code::EMPTY, all.start..all.start, "the runbook is empty").label("nothing here").help(
                    "start with `format = 1`, [runbook], [people], [env.sandbox] and a [[step]]; `gonogo kinds wait --example` prints a whole one",
                ),
            );
        }
        return None;
    }
    let mut found = Diagnostics::new(Arc::clone(&source));
    let runbook = bind::runbook(&source, &table, &mut found);
    match broken_at {
        Some(broken_at) => {
            found.retain(|d| d.span.end <= broken_at && d.code.is_local());
            diagnostics.absorb(found);
            None
        }
        None => {
            if let Some(runbook) = &runbook {
                meaning::check(runbook, &mut found);
            }
            diagnostics.absorb(found);
            runbook
        }
    }
}

//! Every view over the same nights: what plain says and hears, what the report and `--json` print.

mod plain;
mod report;

/// Compares with a file of `golden`; `UPDATE_GOLDEN=1` writes it.
#[track_caller]
fn golden(name: &str, text: &str) {
    let path = format!("{}/tests/it/views/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(wanted == text, "{name} differs (UPDATE_GOLDEN=1 writes it):\n{text}");
}

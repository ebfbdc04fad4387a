//! Every view over the same nights: what plain says and hears, what the report and `--json` print.

mod plain;

//! From a row to 64 bits, in SQL. What is hashed is what a client would see: `1.0` is not `1.00`, `-0` is not `0`, and a
//! `char(n)` has its blanks.
//!
//! The server's own hash of a row (`hash_record_extended`) is not enough for a sum over rows. It adds the columns' hashes up, so
//! that values swapped between two rows leave the sum as it is; numbers hash alike with either sign; bigints and timestamps are
//! folded to 32 bits; two intervals that are equal, and not the same, hash alike; so do arrays with other bounds. Here each
//! column's hash is the seed of the next one's:
//!
//! ```text
//! nonce ─#id─▶ hashint4extended(account, ·) ─▶ hashtextextended(note, ·) ─▶ hashtextextended(created::text, ·) ─▶ 64 bits
//!        bigints go in whole, into the seed
//! ```
//!
//! A change goes unseen by 1 in 2^64, in a row as in the sum of many. The nonce is drawn anew for each check of each run, so that
//! nobody can make rows that hash alike and no false "equal" comes twice. Where the servers' functions do not agree, or there are
//! none, the text of the row goes through SHA-256 (MD5 before version 11), the first 64 bits of which are taken.

use super::{super::quoted, catalog::Column};

/// Drawn at random.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Nonce {
    /// The seed of the first column.
    pub row: i64,
    /// The same for keys.
    pub key: i64,
    /// Stands for a null.
    pub null: i64,
}

impl Nonce {
    /// New ones.
    pub fn new() -> Self {
        Self { row: fastrand::i64(..), key: fastrand::i64(..), null: fastrand::i64(1..) }
    }
}

/// Which functions are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Mode {
    /// The server's hash functions, on which both sides agree.
    Native,
    /// The text of the row through a digest.
    Text,
}

impl Mode {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Native => "64 bits by the servers' hash functions",
            Self::Text => "64 bits of a digest of the row's text",
        }
    }
}

/// How one column is seen by one server.
#[derive(Debug, Clone)]
pub(super) struct Seen<'a> {
    pub column: &'a Column,
    /// The server's version.
    pub version: u32,
    /// Both servers print floats to the last bit.
    pub exact_floats: bool,
}

const BOOL: i64 = 16;
const BYTEA: i64 = 17;
const INT8: i64 = 20;
const INT2: i64 = 21;
const INT4: i64 = 23;
const OID: i64 = 26;
const FLOAT4: i64 = 700;
const FLOAT8: i64 = 701;
const BPCHAR: i64 = 1042;
const UUID: i64 = 2950;
const XML: i64 = 142;
/// Types below are built in and the same in every server.
const BUILT_IN: i64 = 16384;
/// Bytes of a `bytea` from which on its text could be too large for the server.
const LARGE: u32 = 100 << 20;

/// The server itself can find a value again by its text.
pub(super) fn can_be_found(column: &Column, exact_floats: bool) -> bool {
    let is_float = matches!(column.base, FLOAT4 | FLOAT8);
    (column.base < BUILT_IN || column.base_kind == "e") && !column.has_cast && (exact_floats || !is_float)
}

/// Whole numbers, which can be a range.
pub(super) fn is_integer(column: &Column) -> bool {
    matches!(column.base, INT2 | INT4 | INT8)
}

impl Seen<'_> {
    /// The column itself.
    fn name(&self) -> String {
        format!("t.{}", quoted(&self.column.name))
    }

    /// What a client reads, as `text`; null where it is null.
    pub fn text(&self) -> String {
        let name = self.name();
        match self.column.base {
            // The cast to text drops blanks; with a length the type has them again.
            BPCHAR if self.column.typmod < 0 => format!("textin(bpcharout({name}::bpchar))"),
            FLOAT4 if !self.exact_floats => format!("encode(float4send({name}), 'hex')"),
            FLOAT8 if !self.exact_floats => format!("encode(float8send({name}), 'hex')"),
            // The cast has the declaration as it was stored, which replication does not carry.
            XML => format!("textin(xml_out({name}))"),
            _ if self.column.has_cast => self.output(),
            BYTEA if self.version >= 110_000 => {
                format!("CASE WHEN octet_length({name}) > {LARGE} THEN sha256({name})::text ELSE {name}::text END")
            }
            base if base < BUILT_IN || self.column.base_kind == "e" => format!("{name}::text"),
            _ => self.output(),
        }
    }

    /// By the output function of its type, whatever casts there are: slower than a cast.
    fn output(&self) -> String {
        let name = self.name();
        format!("CASE WHEN {name} IS NOT DISTINCT FROM NULL THEN NULL ELSE format('%s', {name}) END")
    }

    /// True where it can be null.
    fn is_null(&self) -> String {
        // Not `IS NULL`, which is true for a composite value of nulls.
        format!("{} IS NOT DISTINCT FROM NULL", self.name())
    }
}

/// A seed on its way through the columns.
struct Chain {
    /// A `bigint` expression.
    seed: String,
    /// Something was put into the seed and not yet stirred.
    is_raw: bool,
    /// Columns so far.
    at: usize,
}

impl Chain {
    fn stir(&mut self) {
        if self.is_raw {
            self.seed = format!("hashint4extended({}, {})", self.at, self.seed);
            self.is_raw = false;
        }
    }

    fn add(&mut self, seen: &Seen<'_>, alike: bool, null: Option<i64>) {
        self.at += 1;
        let name = seen.name();
        let function = match seen.column.base {
            INT8 if alike => {
                let value = if null.is_some() { format!("coalesce({name}, 0)") } else { name };
                self.stir();
                self.mark(seen, null);
                // A mark and a bigint must not share a seed: together they would be another bigint.
                self.stir();
                self.seed = format!("({value} # {})", self.seed);
                self.is_raw = true;
                return;
            }
            BOOL if alike => Some(("hashint4extended", format!("{name}::int4"), "0")),
            INT2 if alike => Some(("hashint2extended", name, "0::int2")),
            INT4 if alike => Some(("hashint4extended", name, "0")),
            OID if alike => Some(("hashoidextended", name, "0::oid")),
            UUID if alike => Some(("uuid_hash_extended", name, "'00000000-0000-0000-0000-000000000000'::uuid")),
            _ => None,
        };
        let (function, value, zero) = match function {
            Some((function, value, zero)) => (function, value, zero),
            None => ("hashtextextended", seen.text(), "''"),
        };
        let value = if null.is_some() { format!("coalesce({value}, {zero})") } else { value };
        self.mark(seen, null);
        let collate = if function == "hashtextextended" { " COLLATE \"C\"" } else { "" };
        self.seed = format!("{function}({value}{collate}, {})", self.seed);
        self.is_raw = false;
    }

    /// A null puts its mark into the seed; the value is then any.
    fn mark(&mut self, seen: &Seen<'_>, null: Option<i64>) {
        if let Some(null) = null {
            self.seed = format!("({} # CASE WHEN {} THEN {null} ELSE 0 END)", self.seed, seen.is_null());
            self.is_raw = true;
        }
    }
}

/// The hash of some columns of a row `t`, as a `bigint` that is never null. `alike`: both sides have the type.
pub(super) fn hash(columns: &[(Seen<'_>, bool, bool)], mode: Mode, nonce: Nonce, seed: i64) -> String {
    if mode == Mode::Text {
        return format!("('x' || left({}, 16))::bit(64)::bigint", digest(columns, seed));
    }
    let mut chain = Chain { seed: format!("({seed})::bigint"), is_raw: true, at: 0 };
    for (seen, alike, nullable) in columns {
        if chain.at == 0 {
            // The nonce alone needs no stirring before the first column.
            chain.is_raw = false;
        }
        chain.add(seen, *alike, nullable.then_some(nonce.null));
    }
    chain.stir();
    chain.seed
}

/// A digest of some columns as hexadecimal text: sure, and slow. A row's own text tells nulls, blanks and quotes apart.
pub(super) fn digest(columns: &[(Seen<'_>, bool, bool)], seed: i64) -> String {
    let version = columns.first().map_or(0, |(seen, ..)| seen.version);
    let texts = columns.iter().map(|(seen, ..)| seen.text()).collect::<Vec<_>>().join(", ");
    digest_of(&format!("'{seed}' || ROW({texts})::text"), version)
}

/// The digest of a text. `sha256` is there since version 11; some servers refuse MD5. `SQL_ASCII` may hold any bytes, which are
/// taken as they are.
pub(super) fn digest_of(text: &str, version: u32) -> String {
    let bytes =
        format!("convert_to({text}, CASE getdatabaseencoding() WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END)");
    if version >= 110_000 { format!("encode(sha256({bytes}), 'hex')") } else { format!("md5({bytes})") }
}

/// The agreement of two servers: the same questions must get the same answers. The functions on values of every length class, and
/// how values are printed.
pub(super) const PROBE: &str = "SELECT ARRAY[\
    hashint2extended(7::int2, 3), hashint2extended((-7)::int2, -3), hashint4extended(0, 1), hashint4extended(-1, 8589934592), \
    hashint4extended(2147483647, -77), hashoidextended(4000000000::oid, 5), \
    hashtextextended('' COLLATE \"C\", 1), hashtextextended('a' COLLATE \"C\", -1), hashtextextended('twelve bytes' COLLATE \"C\", 99), \
    hashtextextended(repeat('long ', 100) COLLATE \"C\", 12345678901234567), \
    hashtextextended(convert_from('\\x5ac3bc72696368', getdatabaseencoding()) COLLATE \"C\", 4), \
    uuid_hash_extended('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 6)]::bigint[]::text";

/// Values as they are printed: a server that prints otherwise would look different everywhere.
pub(super) const PRINTS: &str = "SELECT ARRAY[\
    0.1::float8::text, 1e300::float8::text, '-0'::float8::text, 'NaN'::float8::text, '1e-5'::float4::text, 1.10::numeric::text, \
    'NaN'::numeric::text, (-1234.5)::numeric::money::text, '2026-11-29 01:02:03.456+05'::timestamptz::text, \
    '-infinity'::timestamptz::text, '0044-03-15 BC'::date::text, '24:00:00'::time::text, '01:02:03+05:30'::timetz::text, \
    '1 year 2 mons -3 days 04:05:06.7'::interval::text, '\\x00ff'::bytea::text, '{\"b\": 1.10, \"a\": null}'::jsonb::text, \
    '[2:3]={1,NULL}'::int4[]::text, '[1,5)'::int4range::text, '1.2.3.4/24'::inet::text, '(1.5,2)'::point::text, \
    'fat:1A cat'::tsvector::text, true::text, '16/B374D848'::pg_lsn::text]::text";

//! Sixty awkward tables: types whose values look alike and are not, names that need quotes, and tables that are built
//! differently on both sides and hold the same. Each has one row changed, one missing and one extra; nothing else
//! may be found, and nothing before.

/// A table of `id integer PRIMARY KEY, v TYPE`: its name, the type, a value, and one that must not pass for it.
pub type Typed = (&'static str, &'static str, &'static str, &'static str);

/// What types need.
pub const TYPES_NEED: &str = "\
    CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad');
    CREATE TYPE pair AS (a int, b text);
    CREATE DOMAIN positive AS numeric(10, 2) CHECK (VALUE > 0);
    CREATE DOMAIN word AS text COLLATE \"C\";
    CREATE DOMAIN big AS bigint;
    CREATE TYPE flat AS ENUM ('sad', 'ok');
    CREATE DOMAIN flat_domain AS flat;
    CREATE FUNCTION flatten(flat) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT 'x'$$;
    CREATE FUNCTION unflatten(text) RETURNS flat LANGUAGE sql IMMUTABLE AS $$SELECT NULL::s.flat$$;
    CREATE CAST (flat AS text) WITH FUNCTION flatten(flat);
    CREATE CAST (text AS flat) WITH FUNCTION unflatten(text);
    CREATE COLLATION unaccented (provider = icu, locale = 'und-u-ks-level1', deterministic = false);";

pub const TYPED: &[Typed] = &[
    ("t_bool", "boolean", "true", "false"),
    ("t_int2", "smallint", "7", "-7"),
    ("t_int4", "integer", "0", "NULL"),
    // Folded to 32 bits, these two are the same.
    ("t_int8_folded", "bigint", "1", "4294967296"),
    ("t_int8", "bigint", "-1", "0"),
    ("t_oid", "oid", "4000000000", "4000000001"),
    ("t_text_empty", "text", "NULL", "''"),
    ("t_text_blank", "text", "'a'", "'a '"),
    ("t_text_accent", "text", "U&'\\00e9'", "U&'e\\0301'"),
    ("t_text_long", "text", "repeat('long ', 40000)", "repeat('long ', 39999) || 'lonG '"),
    ("t_varchar", "varchar(10)", "'x'", "'X'"),
    ("t_char", "char(10)", "'ab'", "'ab c'"),
    ("t_bpchar", "bpchar", "'ab'", "'ab '"),
    ("t_name", "name", "'some_name'", "'some_Name'"),
    ("t_internal_char", "\"char\"", "'a'", "'b'"),
    ("t_collated", "text COLLATE unaccented", "'resume'", "'Resume'"),
    ("t_bytea", "bytea", "'\\x00ff'", "'\\x00fe'"),
    ("t_numeric_scale", "numeric", "1.0", "1.00"),
    ("t_numeric_sign", "numeric(12,2)", "12.34", "-12.34"),
    ("t_numeric_nan", "numeric", "'NaN'", "'Infinity'"),
    ("t_float_zero", "double precision", "'-0'", "'0'"),
    ("t_float_last_bit", "double precision", "0.1", "0.10000000000000002"),
    ("t_float_nan", "double precision", "'NaN'", "'-Infinity'"),
    ("t_real", "real", "1.1", "1.1000001"),
    ("t_money", "money", "12.34::numeric::money", "(-12.34)::numeric::money"),
    ("t_date", "date", "'0044-03-15 BC'", "'0044-03-15'"),
    ("t_time", "time", "'24:00:00'", "'00:00:00'"),
    ("t_timetz", "timetz", "'12:00:00+01'", "'11:00:00+00'"),
    ("t_timestamp", "timestamp", "'2026-11-29 01:02:03.456789'", "'2026-11-29 01:02:03.45679'"),
    // Folded to 32 bits, this is the same.
    ("t_timestamptz", "timestamptz", "'2000-01-01 00:00:00.000001+00'", "'2000-01-01 01:11:34.967296+00'"),
    ("t_timestamptz_infinity", "timestamptz", "'infinity'", "'-infinity'"),
    ("t_interval", "interval", "'1 month'", "'30 days'"),
    ("t_json", "json", "'{\"a\": 1, \"b\": 2}'", "'{\"b\": 2, \"a\": 1}'"),
    ("t_jsonb", "jsonb", "'{\"a\": 1, \"b\": null}'", "'{\"a\": -1, \"b\": null}'"),
    ("t_xml", "xml", "'<a>1</a>'", "'<a>1 </a>'"),
    ("t_enum_with_a_cast", "flat", "'sad'", "'ok'"),
    ("t_domain_with_a_cast", "flat_domain", "'sad'", "'ok'"),
    ("t_uuid", "uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12'"),
    ("t_array_bounds", "integer[]", "'{1,2}'", "'[2:3]={1,2}'"),
    ("t_array_null", "text[]", "ARRAY['a', NULL]", "ARRAY['a', 'NULL']"),
    ("t_array_dims", "integer[]", "'{{1,2},{3,4}}'", "'{1,2,3,4}'"),
    (
        "t_range",
        "tstzrange",
        "'[2026-01-01 00:00+00,2026-02-01 00:00+00)'",
        "'[2026-01-01 00:00+00,2026-02-01 00:00+00]'",
    ),
    ("t_multirange", "int4multirange", "'{[1,3),[5,7)}'", "'{[1,3),[5,8)}'"),
    ("t_enum", "mood", "'ok'", "'glad'"),
    ("t_enum_array", "mood[]", "'{sad,ok}'", "'{ok,sad}'"),
    ("t_domain", "positive", "1.50", "1.51"),
    ("t_domain_text", "word", "'w'", "''"),
    ("t_domain_big", "big", "1", "4294967296"),
    ("t_composite", "pair", "ROW(NULL, NULL)", "NULL"),
    ("t_bit", "bit(4)", "B'1010'", "B'1011'"),
    ("t_varbit", "bit varying", "B'1'", "B'10'"),
    ("t_inet", "inet", "'10.0.0.1/24'", "'10.0.0.1'"),
    ("t_cidr", "cidr", "'10.0.0.0/24'", "'10.0.0.0/25'"),
    ("t_macaddr", "macaddr", "'08:00:2b:01:02:03'", "'08:00:2b:01:02:04'"),
    ("t_tsvector", "tsvector", "'fat:1A cat'", "'fat:1B cat'"),
    ("t_point", "point", "'(1.5,-0)'", "'(1.5,0)'"),
    ("t_box", "box", "'(1,1),(0,0)'", "'(2,0.5),(0,0)'"),
    ("t_regclass", "regclass", "'s.t_bool'::regclass", "'s.t_int2'::regclass"),
    ("t_pg_lsn", "pg_lsn", "'16/B374D848'", "'16/B374D849'"),
    ("t_hstore", "ext.hstore", "'a=>1, b=>NULL'", "'a=>1, b=>\"NULL\"'"),
    ("t_citext", "ext.citext", "'Case'", "'case'"),
    ("t_ltree", "ext.ltree", "'a.b'", "'a.B'"),
];

/// A table that is more than one column.
pub struct Built {
    /// As it is shown.
    pub name: &'static str,
    /// Makes and fills it at the source.
    pub source: &'static str,
    /// The same at the target; empty: the same statements.
    pub target: &'static str,
    /// Changes one row, removes one, adds one: at the target.
    pub plant: &'static str,
    /// Changed, missing, extra.
    pub counts: [i64; 3],
    /// What has to be shown.
    pub shown: &'static [&'static str],
}

pub const BUILT: &[Built] = &[
    Built {
        name: "s.no_key",
        source: "CREATE TABLE s.no_key (a int, b text); INSERT INTO s.no_key VALUES (1, 'x'), (1, 'x'), (2, NULL), (2, NULL), (3, 'z')",
        target: "",
        plant: "DELETE FROM s.no_key WHERE ctid = (SELECT min(ctid) FROM s.no_key WHERE a = 1); INSERT INTO s.no_key VALUES (2, NULL)",
        counts: [0, 1, 1],
        shown: &["missing row=", "extra row="],
    },
    Built {
        name: "s.swapped",
        source: "CREATE TABLE s.swapped (id int PRIMARY KEY, v text); INSERT INTO s.swapped SELECT g, 'v' || g FROM generate_series(1, 9) g",
        target: "",
        // A sum of sums of columns would not see it.
        plant: "UPDATE s.swapped SET v = CASE id WHEN 4 THEN 'v5' ELSE 'v4' END WHERE id IN (4, 5)",
        counts: [2, 0, 0],
        shown: &["changed id=4 (v)", "changed id=5 (v)"],
    },
    Built {
        name: "s.\"Odd \"\"Name\"\".ü\"",
        source: "CREATE TABLE s.\"Odd \"\"Name\"\".ü\" (\"Id \"\"x\" int PRIMARY KEY, \"sélect\" text); INSERT INTO s.\"Odd \"\"Name\"\".ü\" SELECT g, 'v' FROM generate_series(1, 9) g",
        target: "",
        plant: "UPDATE s.\"Odd \"\"Name\"\".ü\" SET \"sélect\" = 'w' WHERE \"Id \"\"x\" = 2; DELETE FROM s.\"Odd \"\"Name\"\".ü\" WHERE \"Id \"\"x\" = 3; INSERT INTO s.\"Odd \"\"Name\"\".ü\" VALUES (10, 'v')",
        counts: [1, 1, 1],
        shown: &["changed Id \"x=2 (sélect)", "missing Id \"x=3", "extra Id \"x=10"],
    },
    Built {
        name: "s.n123456789012345678901234567890123456789012345678901234567890ab",
        source: "CREATE TABLE s.n123456789012345678901234567890123456789012345678901234567890ab (id int PRIMARY KEY); INSERT INTO s.n123456789012345678901234567890123456789012345678901234567890ab SELECT generate_series(1, 5)",
        target: "",
        plant: "DELETE FROM s.n123456789012345678901234567890123456789012345678901234567890ab WHERE id = 3; INSERT INTO s.n123456789012345678901234567890123456789012345678901234567890ab VALUES (9)",
        counts: [0, 1, 1],
        shown: &["missing id=3", "extra id=9"],
    },
    Built {
        name: "s.other_order",
        source: "CREATE TABLE s.other_order (id int PRIMARY KEY, a text, b int); INSERT INTO s.other_order SELECT g, 'a' || g, g FROM generate_series(1, 9) g",
        target: "CREATE TABLE s.other_order (gone date, b int, id int PRIMARY KEY, a text); ALTER TABLE s.other_order DROP COLUMN gone; INSERT INTO s.other_order (id, a, b) SELECT g, 'a' || g, g FROM generate_series(9, 1, -1) g",
        plant: "UPDATE s.other_order SET b = -b WHERE id = 2; DELETE FROM s.other_order WHERE id = 3; INSERT INTO s.other_order (id) VALUES (11)",
        counts: [1, 1, 1],
        shown: &["changed id=2 (b)", "missing id=3", "extra id=11"],
    },
    Built {
        name: "s.generated",
        source: "CREATE TABLE s.generated (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED); INSERT INTO s.generated SELECT g, g FROM generate_series(1, 9) g",
        target: "",
        plant: "UPDATE s.generated SET a = 100 WHERE id = 2; DELETE FROM s.generated WHERE id = 3; INSERT INTO s.generated VALUES (11, 1)",
        counts: [1, 1, 1],
        shown: &["changed id=2 (a, twice)", "missing id=3", "extra id=11"],
    },
    Built {
        name: "s.identity",
        source: "CREATE TABLE s.identity (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int); INSERT INTO s.identity (a) SELECT g FROM generate_series(1, 9) g",
        target: "",
        plant: "UPDATE s.identity SET a = 100 WHERE id = 2; DELETE FROM s.identity WHERE id = 3; INSERT INTO s.identity (a) VALUES (1)",
        counts: [1, 1, 1],
        shown: &["changed id=2 (a)", "missing id=3", "extra id=10"],
    },
    Built {
        name: "s.partitioned",
        source: "CREATE TABLE s.partitioned (id int, at date, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at); CREATE TABLE s.partitioned_1 PARTITION OF s.partitioned FOR VALUES FROM ('2026-01-01') TO ('2026-07-01'); CREATE TABLE s.partitioned_2 PARTITION OF s.partitioned FOR VALUES FROM ('2026-07-01') TO ('2027-01-01'); INSERT INTO s.partitioned SELECT g, '2026-01-01'::date + g, 'v' FROM generate_series(1, 300) g",
        target: "CREATE TABLE s.partitioned (id int, at date, v text, PRIMARY KEY (id, at)) PARTITION BY HASH (id); CREATE TABLE s.partitioned_h0 PARTITION OF s.partitioned FOR VALUES WITH (MODULUS 3, REMAINDER 0); CREATE TABLE s.partitioned_h1 PARTITION OF s.partitioned FOR VALUES WITH (MODULUS 3, REMAINDER 1); CREATE TABLE s.partitioned_h2 PARTITION OF s.partitioned FOR VALUES WITH (MODULUS 3, REMAINDER 2); INSERT INTO s.partitioned SELECT g, '2026-01-01'::date + g, 'v' FROM generate_series(1, 300) g",
        plant: "UPDATE s.partitioned SET v = 'w' WHERE id = 250; DELETE FROM s.partitioned WHERE id = 3; INSERT INTO s.partitioned VALUES (301, '2026-03-03', 'v')",
        counts: [1, 1, 1],
        shown: &["changed id=250 at=2026-09-08 (v)", "missing id=3 at=2026-01-04", "extra id=301 at=2026-03-03"],
    },
    Built {
        name: "s.partitioned_or_not",
        source: "CREATE TABLE s.partitioned_or_not (id int PRIMARY KEY, v text) PARTITION BY LIST (id); CREATE TABLE s.partitioned_or_not_1 PARTITION OF s.partitioned_or_not DEFAULT; INSERT INTO s.partitioned_or_not SELECT g, 'v' FROM generate_series(1, 9) g",
        target: "CREATE TABLE s.partitioned_or_not (id int PRIMARY KEY, v text); INSERT INTO s.partitioned_or_not SELECT g, 'v' FROM generate_series(1, 9) g",
        plant: "UPDATE s.partitioned_or_not SET v = NULL WHERE id = 2; DELETE FROM s.partitioned_or_not WHERE id = 3; INSERT INTO s.partitioned_or_not VALUES (11)",
        counts: [1, 1, 1],
        shown: &["changed id=2 (v)", "missing id=3", "extra id=11"],
    },
    Built {
        name: "s.parent",
        source: "CREATE TABLE s.parent (id int PRIMARY KEY, v text); CREATE TABLE s.child (PRIMARY KEY (id)) INHERITS (s.parent); INSERT INTO s.parent VALUES (1, 'p'), (2, 'p'), (3, 'p'); INSERT INTO s.child VALUES (1, 'c'), (2, 'c')",
        target: "",
        plant: "UPDATE ONLY s.parent SET v = 'q' WHERE id = 2; DELETE FROM ONLY s.parent WHERE id = 3; INSERT INTO s.parent VALUES (4)",
        counts: [1, 1, 1],
        shown: &["changed id=2 (v)", "missing id=3", "extra id=4"],
    },
    Built {
        name: "s.text_key",
        source: "CREATE TABLE s.text_key (k text PRIMARY KEY, v int); INSERT INTO s.text_key VALUES ('', 0), ('a', 1), ('B', 2), ('ä', 3), ('a b', 4), ('{x,\"y\"}', 5), ('NULL', 6), (E'line\\nline', 7)",
        target: "",
        plant: "UPDATE s.text_key SET v = 50 WHERE k = '{x,\"y\"}'; DELETE FROM s.text_key WHERE k = ''; INSERT INTO s.text_key VALUES ('A', 1)",
        counts: [1, 1, 1],
        shown: &["changed k={x,\"y\"} (v)", "missing k=", "extra k=A"],
    },
    Built {
        name: "s.odd_keys",
        source: "CREATE TABLE s.odd_keys (u uuid, t timestamptz, n numeric, m s.mood, PRIMARY KEY (u, t, n, m), v int); INSERT INTO s.odd_keys SELECT md5(g::text)::uuid, '2026-01-01 00:00+00'::timestamptz + g * interval '1 s', g / 3.0, 'ok', g FROM generate_series(1, 9) g",
        target: "",
        plant: "UPDATE s.odd_keys SET v = 0 WHERE v = 2; DELETE FROM s.odd_keys WHERE v = 3; UPDATE s.odd_keys SET m = 'sad' WHERE v = 4",
        counts: [1, 2, 1],
        shown: &[
            "changed u=c81e728d-9d4c-2f63-6f06-7f89cc14862c t=2026-01-01 00:00:02+00 n=0.66666666666666666667 m=ok (v)",
            "m=sad",
        ],
    },
    Built {
        name: "s.unique_only",
        source: "CREATE TABLE s.unique_only (a int NOT NULL UNIQUE, b text); INSERT INTO s.unique_only SELECT g, 'v' FROM generate_series(1, 9) g",
        target: "",
        plant: "UPDATE s.unique_only SET b = 'w' WHERE a = 2; DELETE FROM s.unique_only WHERE a = 3; INSERT INTO s.unique_only VALUES (11)",
        counts: [1, 1, 1],
        shown: &["changed a=2 (b)", "missing a=3", "extra a=11"],
    },
    Built {
        name: "s.unlogged",
        source: "CREATE UNLOGGED TABLE s.unlogged (id int PRIMARY KEY); INSERT INTO s.unlogged SELECT generate_series(1, 9)",
        target: "",
        plant: "DELETE FROM s.unlogged WHERE id = 3; INSERT INTO s.unlogged VALUES (11)",
        counts: [0, 1, 1],
        shown: &["missing id=3", "extra id=11"],
    },
    Built {
        name: "s.many",
        source: "CREATE TABLE s.many (id bigint PRIMARY KEY, v text); INSERT INTO s.many SELECT g, md5(g::text) FROM generate_series(1, 120000) g; ANALYZE s.many",
        target: "",
        plant: "UPDATE s.many SET v = 'w' WHERE id IN (7, 60000, 119999); DELETE FROM s.many WHERE id = 30000; INSERT INTO s.many VALUES (120001, 'x')",
        counts: [3, 1, 1],
        shown: &[
            "changed id=7 (v)",
            "changed id=60000 (v)",
            "changed id=119999 (v)",
            "missing id=30000",
            "extra id=120001",
        ],
    },
    Built {
        name: "s.many_by_text",
        source: "CREATE TABLE s.many_by_text (k text PRIMARY KEY, v int); INSERT INTO s.many_by_text SELECT md5(g::text), g FROM generate_series(1, 80000) g; ANALYZE s.many_by_text",
        target: "",
        plant: "UPDATE s.many_by_text SET v = 0 WHERE v IN (1, 40000); DELETE FROM s.many_by_text WHERE v = 2; INSERT INTO s.many_by_text VALUES ('x', 1)",
        counts: [2, 1, 1],
        shown: &[
            "changed k=c4ca4238a0b923820dcc509a6f75849b (v)",
            "missing k=c81e728d9d4c2f636f067f89cc14862c",
            "extra k=x",
        ],
    },
    Built {
        name: "s.many_without_key",
        source: "CREATE TABLE s.many_without_key (a int, b text); INSERT INTO s.many_without_key SELECT g % 1000, 'b' FROM generate_series(1, 80000) g; ANALYZE s.many_without_key",
        target: "",
        plant: "INSERT INTO s.many_without_key VALUES (7, 'b'), (7, 'b'); DELETE FROM s.many_without_key WHERE ctid = (SELECT min(ctid) FROM s.many_without_key WHERE a = 8)",
        counts: [0, 1, 2],
        shown: &["missing row=", "× 2"],
    },
    Built {
        // As it arrives by logical replication, which sends what clients read.
        name: "s.declared",
        source: "CREATE TABLE s.declared (id int PRIMARY KEY, v xml); INSERT INTO s.declared VALUES (1, '<?xml version=\"1.0\" encoding=\"UTF-8\"?><a>1</a>'), (2, NULL)",
        target: "CREATE TABLE s.declared (id int PRIMARY KEY, v xml); INSERT INTO s.declared VALUES (1, '<a>1</a>'), (2, NULL)",
        plant: "UPDATE s.declared SET v = '<a>2</a>' WHERE id = 1; DELETE FROM s.declared WHERE id = 2; INSERT INTO s.declared VALUES (3)",
        counts: [1, 1, 1],
        shown: &["changed id=1 (v)", "missing id=2", "extra id=3"],
    },
    Built {
        name: "s.key_with_a_cast",
        source: "CREATE TABLE s.key_with_a_cast (m s.flat PRIMARY KEY, v int); INSERT INTO s.key_with_a_cast VALUES ('sad', 1), ('ok', 2)",
        target: "",
        plant: "UPDATE s.key_with_a_cast SET v = 3 WHERE m = 'ok'; DELETE FROM s.key_with_a_cast WHERE m = 'sad'",
        counts: [1, 1, 0],
        shown: &["changed m=ok (v)", "missing m=sad"],
    },
    Built {
        name: "s.wide",
        source: "DO $$ BEGIN EXECUTE (SELECT 'CREATE TABLE s.wide (id int PRIMARY KEY, ' || string_agg('c' || g || ' bigint', ', ') || ')' FROM generate_series(1, 1100) g); END $$; INSERT INTO s.wide (id, c7) VALUES (1, 7), (2, 7), (3, NULL)",
        target: "",
        plant: "UPDATE s.wide SET c1099 = 0 WHERE id = 1; DELETE FROM s.wide WHERE id = 2; INSERT INTO s.wide (id) VALUES (4)",
        counts: [1, 1, 1],
        shown: &["changed id=1 (c1099)", "missing id=2", "extra id=4"],
    },
    Built {
        name: "s.no_columns",
        source: "CREATE TABLE s.no_columns (); INSERT INTO s.no_columns DEFAULT VALUES; INSERT INTO s.no_columns DEFAULT VALUES",
        target: "",
        plant: "INSERT INTO s.no_columns DEFAULT VALUES",
        counts: [0, 0, 1],
        shown: &["extra row="],
    },
];

//! Databases that are built differently, what is left out, and what a role may not see.

use gonogo::base::Class;

use super::{both, look, services, text};
use crate::{kinds::contract::env, postgres::pair};

/// What is done to the target, and what has to be said of it. Each is the only difference of its database.
const BUILT: &[(&str, &str)] = &[
    ("DROP TABLE lone", "table public.lone is missing at the target"),
    ("CREATE TABLE more (id int)", "table public.more is extra at the target"),
    ("ALTER TABLE lone SET UNLOGGED", "table public.lone: logged at the source, unlogged at the target"),
    ("ALTER TABLE plain DROP COLUMN note", "column public.plain.note is missing at the target"),
    ("ALTER TABLE plain ADD COLUMN \"New\" int", "column public.plain.\"New\" is extra at the target"),
    (
        "ALTER TABLE plain ALTER note TYPE varchar(9)",
        "column public.plain.note: text at the source, character varying(9) at the target",
    ),
    (
        "ALTER TABLE plain ALTER amount TYPE numeric(13,2)",
        "column public.plain.amount: numeric(12,2) at the source, numeric(13,2) at the target",
    ),
    (
        "ALTER TABLE plain ALTER note SET NOT NULL",
        "column public.plain.note: nullable at the source, not null at the target",
    ),
    (
        "ALTER TABLE plain ALTER note TYPE text COLLATE \"POSIX\"",
        "column public.plain.note: collation the default at the source, collation pg_catalog.\"POSIX\" at the target",
    ),
    (
        "ALTER TABLE plain ALTER amount SET DEFAULT 2",
        "column public.plain.amount: default 1 at the source, default 2 at the target",
    ),
    (
        "ALTER TABLE counted ALTER id DROP IDENTITY",
        "column public.counted.id: an identity by default at the source, no identity at the target",
    ),
    (
        "ALTER TABLE doubled ALTER twice DROP EXPRESSION",
        "column public.doubled.twice: generated, stored at the source, not generated at the target",
    ),
    ("DROP INDEX plain_note", "index public.plain: plain_note is missing at the target"),
    (
        "DROP INDEX plain_note; CREATE INDEX plain_note ON plain (note DESC)",
        "index public.plain: plain_note: CREATE INDEX plain_note ON public.plain USING btree (note) at the source",
    ),
    (
        "ALTER TABLE plain DROP CONSTRAINT plain_amount",
        "constraint public.plain: plain_amount is missing at the target: CHECK ((amount > (0)::numeric))",
    ),
    (
        "ALTER TABLE referring DROP CONSTRAINT referring_plain_fkey",
        "constraint public.referring: referring_plain_fkey is missing at the target",
    ),
    ("ALTER TABLE plain ADD UNIQUE (amount)", "constraint public.plain: plain_amount_key is extra at the target"),
    ("ALTER TABLE plain DISABLE TRIGGER stamp", "trigger public.plain: stamp: CREATE TRIGGER stamp"),
    ("DROP TRIGGER stamp ON plain", "trigger public.plain: stamp is missing at the target"),
    ("ALTER TABLE plain ENABLE ROW LEVEL SECURITY", "policy public.plain: row level security is extra at the target"),
    ("DROP VIEW seen; CREATE VIEW seen AS SELECT id + 1 AS id FROM plain", "view public.seen:"),
    ("ALTER SEQUENCE apart OWNED BY plain.id", "sequence public.apart: bigint start 1"),
    ("ALTER SEQUENCE apart INCREMENT BY 2", "sequence public.apart: bigint start 1"),
    (
        "ALTER TYPE mood ADD VALUE 'glad'",
        "type public.mood: enum 'sad', 'ok' at the source, enum 'sad', 'ok', 'glad' at the target",
    ),
    ("ALTER DOMAIN short DROP CONSTRAINT short_check", "type public.short: domain text"),
    (
        "CREATE OR REPLACE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'begin return old; end'",
        "function public.stamp(): trigger plpgsql",
    ),
    ("ALTER TABLE child NO INHERIT parent", "table public.child: inherits public.parent is missing at the target"),
    (
        "ALTER TABLE referring DISABLE TRIGGER ALL",
        "trigger public.referring: those of referring_plain_fkey is extra at the target: disabled",
    ),
    (
        "CREATE RULE away AS ON INSERT TO lone DO INSTEAD NOTHING",
        "trigger public.lone: rule away is extra at the target",
    ),
    ("DROP AGGREGATE added_up(int)", "function public.added_up(integer) is missing at the target"),
    (
        "CREATE OR REPLACE FUNCTION given(a int DEFAULT 2) RETURNS int LANGUAGE sql AS 'select a'",
        "function public.given(a integer): integer sql",
    ),
    ("ALTER FUNCTION given(int) SET search_path = pg_catalog", "function public.given(a integer): integer sql"),
    ("ALTER VIEW seen SET (security_barrier)", "view public.seen:"),
    ("DROP INDEX kept_id", "index public.kept: kept_id is missing at the target"),
    ("REFRESH MATERIALIZED VIEW kept WITH NO DATA", "view public.kept: materialised:"),
    (
        "DROP COLLATION free; CREATE COLLATION free (provider = icu, locale = 'und-u-ks-level1')",
        "type public.free: collation:",
    ),
    ("DROP DOMAIN sorted; CREATE DOMAIN sorted AS text", "type public.sorted: domain text collate"),
    ("DROP TYPE span; CREATE TYPE span AS RANGE (subtype = numeric)", "type public.span: range of double precision"),
    (
        "DROP POLICY own ON ruled; CREATE POLICY own ON ruled WITH CHECK (id > 5)",
        "policy public.ruled: own: permissive for all using (id > 5) at the source, permissive for all with check (id > 5) at the target",
    ),
    ("ALTER POLICY own ON ruled TO pg_monitor", "permissive for all to pg_monitor using (id > 5) at the target"),
    (
        "DROP TYPE words; CREATE TYPE words AS RANGE (subtype = text, collation = \"POSIX\")",
        "type public.words: range of text collate pg_catalog.\"C\" at the source, range of text collate pg_catalog.\"POSIX\"",
    ),
    (
        "DROP TYPE two; CREATE TYPE two AS (a text, b int)",
        "type public.two: composite a text collate pg_catalog.\"C\", b integer",
    ),
    ("ALTER VIEW seen ALTER id SET DEFAULT 5", "default id 5 at the target"),
    ("ALTER FUNCTION given(int) LEAKPROOF", "function public.given(a integer): integer sql volatile "),
    ("ALTER FUNCTION given(int) PARALLEL SAFE", "function public.given(a integer): integer sql volatile "),
    (
        "DROP AGGREGATE added_up(int); CREATE AGGREGATE added_up(int) (sfunc = int4pl, stype = int4, combinefunc = int4pl)",
        "function public.added_up(integer): integer internal",
    ),
    (
        "DROP AGGREGATE added_up(int); CREATE AGGREGATE added_up(int) (sfunc = int4pl, stype = int4, initcond = '0')",
        "function public.added_up(integer): integer internal",
    ),
    (
        "ALTER TABLE lone REPLICA IDENTITY NOTHING",
        "replica_identity public.lone: rows: default at the source, nothing at the target",
    ),
    (
        "ALTER TABLE plain REPLICA IDENTITY USING INDEX plain_pkey",
        "replica_identity public.plain: rows: default at the source, index plain_pkey at the target",
    ),
    ("SELECT lo_create(0)", "0 large objects at the source, 1 at the target"),
];

const MAKE: &str = "\
    CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN short AS text CHECK (length(VALUE) < 9);
    CREATE TABLE lone (id int PRIMARY KEY);
    CREATE TABLE plain (id int PRIMARY KEY, note text, amount numeric(12,2) DEFAULT 1 CONSTRAINT plain_amount CHECK (amount > 0), m mood, s short);
    CREATE TABLE counted (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY);
    CREATE TABLE doubled (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED);
    CREATE TABLE referring (id int PRIMARY KEY, plain int REFERENCES plain);
    CREATE INDEX plain_note ON plain (note);
    CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'begin return new; end';
    CREATE TRIGGER stamp BEFORE UPDATE ON plain FOR EACH ROW EXECUTE FUNCTION stamp();
    CREATE VIEW seen AS SELECT id FROM plain;
    CREATE SEQUENCE apart;
    CREATE TABLE parent (id int); CREATE TABLE child (more int) INHERITS (parent);
    CREATE AGGREGATE added_up(int) (sfunc = int4pl, stype = int4);
    CREATE FUNCTION given(a int DEFAULT 1) RETURNS int LANGUAGE sql AS 'select a';
    CREATE MATERIALIZED VIEW kept AS SELECT 1 AS id; CREATE UNIQUE INDEX kept_id ON kept (id);
    CREATE COLLATION free (provider = icu, locale = 'und-u-ks-level1', deterministic = false);
    CREATE DOMAIN sorted AS text COLLATE \"C\"; CREATE TYPE span AS RANGE (subtype = float8);
    CREATE TYPE words AS RANGE (subtype = text, collation = \"C\"); CREATE TYPE two AS (a text COLLATE \"C\", b int);
    CREATE TABLE ruled (id int PRIMARY KEY); CREATE POLICY own ON ruled USING (id > 5);
    INSERT INTO plain VALUES (1, 'a', 1.5, 'ok', 'x'), (2, 'b', 2, 'sad', 'y'); INSERT INTO doubled VALUES (1)";

/// One database pair for all: each change is made in a transaction of a copy, that is, in a database made from a template.
#[tokio::test]
async fn each_way_to_be_built_differently_is_told() {
    let (source, target) = pair("built").await;
    both(&source, &target, MAKE).await;
    let services = services(env());
    let (seen, lines) = look(&services, &text(&source, &target, "")).await;
    seen.unwrap_or_else(|failure| panic!("{failure:?} {lines:#?}"));
    let mut wrong = Vec::new();
    for (change, told) in BUILT {
        let copy = target.cluster.database("built_copy").await;
        copy.sql(MAKE).await;
        copy.sql(change).await;
        let (failure, lines) = look(&services, &text(&source, &copy, "")).await;
        let failure = match failure {
            Ok(seen) => {
                wrong.push(format!("{change}: {}", seen.line));
                continue;
            }
            Err(failure) => failure,
        };
        if failure.class != Class::NotYet || !lines.iter().any(|line| line.contains(told)) {
            wrong.push(format!("{change}: {failure:?} {lines:#?}"));
        }
        // Somebody who does not mind says so, and then only the rows count.
        let rest = "schema = false";
        if let (Err(failure), _) = look(&services, &text(&source, &copy, rest)).await {
            wrong.push(format!("{change}, rows only: {failure:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let copy = target.cluster.database("built_ignored").await;
    copy.sql(&format!("{MAKE}; DROP INDEX plain_note")).await;
    let (seen, _) = look(&services, &text(&source, &copy, "ignore = [\"index\"]")).await;
    seen.unwrap();
}

#[tokio::test]
async fn what_is_not_compared_is_said() {
    let (source, target) = pair("left_out").await;
    let make = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE MATERIALIZED VIEW m AS SELECT id FROM t; \
        CREATE EXTENSION postgres_fdw; CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw; \
        CREATE FOREIGN TABLE f (id int) SERVER s; SELECT lo_create(0); \
        CREATE TABLE p (id int) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); \
        CREATE FOREIGN TABLE p2 PARTITION OF p FOR VALUES IN (2) SERVER s; INSERT INTO p VALUES (1)";
    both(&source, &target, make).await;
    let services = services(env());
    let (seen, lines) = look(&services, &text(&source, &target, "")).await;
    let seen = seen.unwrap();
    assert_eq!((&seen.evidence["tables"], &seen.evidence["rows"]), (&2.into(), &2.into()), "{}", seen.line);
    for said in [
        "not compared: public.f: a foreign table",
        "not compared: public.m: a materialised view",
        "not compared: public.p2: a foreign partition",
        "not compared: 1 large objects",
    ] {
        assert!(lines.iter().any(|line| line.starts_with(said)), "{said}: {lines:#?}");
    }
    let (failure, _) = look(&services, &text(&source, &target, "tables = [\"none\"]")).await;
    let failure = failure.unwrap_err();
    assert_eq!((failure.class, failure.message.as_str()), (Class::NotYet, "no data: there is no table to compare"));
    target.sql("INSERT INTO t VALUES (2)").await;
    look(&services, &text(&source, &target, "except = [\"public.t\"]")).await.0.unwrap();
    look(&services, &text(&source, &target, "tables = [\"p*\"]")).await.0.unwrap();
    look(&services, &text(&source, &target, "schemas = [\"public\"]")).await.0.unwrap_err();
}

/// A name that fits nothing is no table that agrees, and what only one side has is not passed over in silence.
#[tokio::test]
async fn what_is_compared_with_nothing_is_said() {
    let (source, target) = pair("unfit").await;
    both(
        &source,
        &target,
        "CREATE TABLE orders (id int PRIMARY KEY); CREATE TABLE users (id int PRIMARY KEY); CREATE SCHEMA app",
    )
    .await;
    source
        .sql("ALTER TABLE orders ADD email text; INSERT INTO orders VALUES (1, 'x'); CREATE TABLE app.lone (id int)")
        .await;
    target.sql("INSERT INTO orders VALUES (1)").await;
    let services = services(env());
    for (rest, pattern) in [
        ("schema = false\ntables = [\"orders\", \"user\"]", "user"),
        ("schema = false\nschemas = [\"public\", \"ap\"]", "ap"),
        ("schema = false\nschemas = [\"public\"]\ntables = [\"users\", \"app.*\"]", "app.*"),
    ] {
        let (failure, _) = look(&services, &text(&source, &target, rest)).await;
        let failure = failure.unwrap_err();
        assert_eq!(failure.class, Class::NotYet, "{failure:?}");
        assert_eq!(failure.message, format!("no data: nothing fits `{pattern}`"));
    }
    let (seen, lines) = look(&services, &text(&source, &target, "schema = false")).await;
    let seen = seen.unwrap();
    assert!(seen.line.contains("; 2 left out"), "{}", seen.line);
    for said in ["column public.orders.email is missing at the target", "table app.lone is missing at the target"] {
        assert!(lines.contains(&format!("not compared: {said}")), "{said}: {lines:?}");
    }
}

/// Two addresses of one database are no two databases.
#[tokio::test]
async fn a_database_is_not_compared_with_itself() {
    let source = crate::postgres::database("itself").await;
    source.sql("CREATE TABLE t (id int PRIMARY KEY)").await;
    let there = source.url().replace("127.0.0.1", "localhost");
    let (failure, _) = look(&services(env()), &format!("source = \"{}\"\ntarget = \"{there}\"", source.url())).await;
    let failure = failure.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured, "{failure:?}");
    assert_eq!(failure.message, "source and target are the same database");
}

/// Settings of a database that change how statements are read do not change ours.
#[tokio::test]
async fn odd_settings_do_not_stop_it() {
    let (source, target) = pair("settings").await;
    both(&source, &target, "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, NULL)").await;
    for setting in ["array_nulls", "standard_conforming_strings"] {
        target.sql(&format!("ALTER DATABASE \"{}\" SET {setting} = off", target.name)).await;
    }
    let services = services(env());
    look(&services, &text(&source, &target, "")).await.0.unwrap();
    target.sql("UPDATE t SET v = 'x'").await;
    let (_, lines) = look(&services, &text(&source, &target, "")).await;
    assert!(lines.contains(&"public.t: changed id=1 (v)".to_owned()), "{lines:?}");
}

/// `SQL_ASCII` takes any bytes; they are compared as they are.
#[tokio::test]
async fn bytes_of_no_encoding_are_compared() {
    let name = crate::postgres::unique("ascii");
    let clusters = [crate::postgres::source(), crate::postgres::target()];
    let make = "CREATE TABLE t (id int PRIMARY KEY, v text); \
        INSERT INTO t SELECT g, convert_from('\\xff'::bytea, 'SQL_ASCII') FROM generate_series(1, 9) g";
    for cluster in clusters {
        let create =
            format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'");
        cluster.client("postgres").await.batch_execute(&create).await.unwrap();
        cluster.client(&name).await.batch_execute(make).await.unwrap();
    }
    let services = services(env());
    let with = format!("source = \"{}\"\ntarget = \"{}\"", clusters[0].url(&name), clusters[1].url(&name));
    look(&services, &with).await.0.unwrap();
    let change = "UPDATE t SET v = convert_from('\\xfe'::bytea, 'SQL_ASCII') WHERE id = 5";
    clusters[1].client(&name).await.batch_execute(change).await.unwrap();
    let (failure, lines) = look(&services, &with).await;
    assert!(lines.contains(&"public.t: changed id=5 (v)".to_owned()), "{failure:?} {lines:?}");
    for cluster in clusters {
        let _ = cluster.client("postgres").await.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
    }
}

/// Rows that a role may not see are no rows that are the same.
#[tokio::test]
async fn hidden_rows_and_tables_fail_loudly() {
    let (source, target) = pair("hidden").await;
    let make = "CREATE TABLE t (id int PRIMARY KEY, who text); INSERT INTO t VALUES (1, 'a'), (2, 'b'); \
        CREATE TABLE u (id int PRIMARY KEY); ALTER TABLE t ENABLE ROW LEVEL SECURITY; \
        CREATE POLICY own ON t USING (who = 'a')";
    both(&source, &target, make).await;
    let role = target.role("reader", "").await;
    target.sql(&format!("GRANT SELECT ON t TO {}", role.name)).await;
    let services = services(env());
    let with = |rest: &str| format!("source = \"{}\"\ntarget = \"{}\"\n{rest}", source.url(), target.url_of(&role));
    let (failure, _) = look(&services, &with("tables = [\"t\"]")).await;
    let failure = failure.unwrap_err();
    assert_eq!(failure.class, Class::Denied, "{failure:?}");
    assert!(failure.message.contains("row-level security"), "{failure:?}");
    let (failure, _) = look(&services, &with("tables = [\"u\"]")).await;
    let failure = failure.unwrap_err();
    assert_eq!(failure.class, Class::Denied, "{failure:?}");
    assert!(failure.message.contains("public.u") && !format!("{failure:?}").contains(&role.password), "{failure:?}");
    target.sql(&format!("ALTER ROLE {} BYPASSRLS; GRANT SELECT ON u TO {}", role.name, role.name)).await;
    look(&services, &with("")).await.0.unwrap();
}

/// Another encoding, other hashes of the same text: compared by digests, and said.
#[tokio::test]
async fn another_encoding_is_compared_by_text() {
    let source = crate::postgres::database("utf8").await;
    let name = crate::postgres::unique("latin1");
    let admin = crate::postgres::target().client("postgres").await;
    let make = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'");
    admin.batch_execute(&make).await.unwrap();
    let there = crate::postgres::client(&crate::postgres::target().url(&name)).await;
    let make = "CREATE TABLE t (k text PRIMARY KEY, v text); INSERT INTO t VALUES (U&'gr\\00fc\\00df', U&'\\00e9'), ('b', NULL), ('c', '')";
    source.sql(make).await;
    there.batch_execute(make).await.unwrap();
    let services = services(env());
    let with = format!("source = \"{}\"\ntarget = \"{}\"", source.url(), crate::postgres::target().url(&name));
    let (seen, lines) = look(&services, &with).await;
    seen.unwrap();
    assert!(
        lines.iter().any(|line| line.contains("compared by digests of text: UTF8 at the source, LATIN1")),
        "{lines:?}"
    );
    there.batch_execute("UPDATE t SET v = U&'\\00e8' WHERE v IS NOT NULL AND v <> ''").await.unwrap();
    let (_, lines) = look(&services, &with).await;
    assert!(lines.contains(&"public.t: changed k=grüß (v)".to_owned()), "{lines:?}");
    drop(there);
    let _ = admin.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
}

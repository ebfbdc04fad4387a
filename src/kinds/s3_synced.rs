//! `s3.synced`: two buckets hold the same objects.
//!
//! ```text
//! source: page ▸ page ▸ …  ┐  merged key by key; a page or two of each in memory, whatever their number
//! target: page ▸ page ▸ …  ┘  ─▶ same · different · missing · extra · settling
//! ```

mod tally;

use std::{
    cmp::Ordering,
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering as Atomic},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{
    future::BoxFuture,
    stream::{self, StreamExt as _},
};
use serde_json::json;

use self::tally::{Likeness, Tally, bytes, left_out, likeness};
use super::{Bind, Kind};
use crate::{
    base::{Class, Failure, clean_line, short_duration},
    plan::{Check, Cx, Doubt, Identity, Param, Params, Permission, Seen, Shape},
    services::{
        Services,
        aws::{Bucket, Listing, Object, Patience, now},
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "s3.synced",
    summary: "two S3 buckets, or parts of them, hold the same objects",
    docs: "\
Lists both sides in the order of their keys, side by side, page by page, and compares key by key; millions of objects need no more memory than a
thousand. Green when at least `min_objects` are there and none is missing, different or extra, apart from what `max_missing` and `extra = \"allow\"`
let pass. Objects younger than `settle` are not judged. What differs is counted, and the first of each sort are named.

Objects of one key are the same when their sizes and entity tags agree. The entity tag of an upload in parts is no hash of its bytes, so with
unequal tags of that sort only the size is compared, and the line says of how many. With `checksum = \"sha256\"` (or `sha1`, `crc32`, `crc32c`,
`crc64nvme`) the checksums that S3 keeps decide wherever entity tags do not agree; an object that has none on both sides is not green.
`compare = \"size\"` compares sizes only.

Buckets may be in different regions (`source_region`, `region`); one in another region than given is followed there. `exclude` leaves out keys that
begin with a text, or match a pattern with stars (`*/tmp/*`); keys are meant without the prefix.

What hurts people: `aws s3 sync` does not copy the empty objects `folder/` that the console makes (`exclude = \"*/\"`); entity tags of objects encrypted
with KMS keys never agree (`compare = \"size\"`, or a checksum); a copy with another part size has another tag and another composite checksum;
uploads go on while the copy runs (`settle`, and freeze them before the last look).

Limits: content type, metadata, tags, access and older versions are not compared. A listing takes about a second for five thousand objects: give the step
a `timeout`. Checksums cost two requests an object, and cannot be asked for keys with `.` or `..` between slashes. Directory buckets have no order of keys.

API: S3 `ListObjectsV2`, and with a `checksum` `HeadObject`.",
    params: PARAMS,
    doubt: Doubt::Read,
    needs: &["s3:GetObject", "s3:ListBucket", "sts:GetCallerIdentity"],
    example: include_str!("../../runbooks/kinds/s3.synced.toml"),
    bind: Bind::Check(bind),
};

const PARAMS: &[Param] = &[
    Param { name: "source", shape: Shape::Text, required: true, help: "the bucket that is copied" },
    Param { name: "target", shape: Shape::Text, required: true, help: "the bucket that must hold the same" },
    Param { name: "source_prefix", shape: Shape::Text, required: false, help: "only keys that begin so; default: all" },
    Param { name: "prefix", shape: Shape::Text, required: false, help: "the same in the target" },
    Param { name: "source_region", shape: Shape::Text, required: false, help: "default: the environment's" },
    Param { name: "region", shape: Shape::Text, required: false, help: "the target's; default: the environment's" },
    Param { name: "exclude", shape: Shape::Texts, required: false, help: "beginnings, or patterns with stars" },
    Param { name: "compare", shape: Shape::Text, required: false, help: "etag or size; default: etag" },
    Param {
        name: "checksum",
        shape: Shape::Text,
        required: false,
        help: "sha256, sha1, crc32, crc32c or crc64nvme, where entity tags do not agree",
    },
    Param { name: "max_missing", shape: Shape::Count, required: false, help: "missing ones that will do; default: 0" },
    Param { name: "extra", shape: Shape::Text, required: false, help: "refuse or allow; default: refuse" },
    Param { name: "min_objects", shape: Shape::Count, required: false, help: "fewer are no data; default: 1" },
    Param { name: "settle", shape: Shape::Duration, required: false, help: "younger ones are not judged; default: 0s" },
];

/// A side with fewer objects in memory than this gets its next page together with the other one.
const LOW: usize = 500;
/// Objects whose checksums are asked for at once, two requests each: far below S3's 5500 reads a second.
const AT_ONCE: usize = 16;

struct Side {
    bucket: Bucket,
    prefix: String,
}

struct Synced {
    services: Arc<Services>,
    source: Side,
    target: Side,
    exclude: Vec<String>,
    by_size: bool,
    checksum: Option<&'static str>,
    max_missing: u64,
    extra: bool,
    min_objects: u64,
    settle: Duration,
    /// Objects of the last whole look, so that the next one can say how far it is.
    before: AtomicU64,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Check> {
    let mut side = |bucket: &str, prefix: &str, region: &str| {
        let name = params.text(bucket);
        if let Some((why, help)) = unfit(&name).filter(|_| params.has(bucket)) {
            let at = params.place_of(bucket);
            params.mistake(at, format!("`{bucket}` must be the name of a bucket"), why, help);
        }
        Side { bucket: Bucket::new(name, params.opt_text(region)), prefix: params.opt_text(prefix).unwrap_or_default() }
    };
    let source = side("source", "source_prefix", "source_region");
    let target = side("target", "prefix", "region");
    if params.has("target") && source.bucket.name == target.bucket.name && source.prefix == target.prefix {
        let at = params.place_of("target");
        params.mistake(at, "`target` is the same as `source`", "would be compared with itself", None);
    }
    let min_objects = params.opt_count("min_objects").unwrap_or(1);
    let by_size = params.word("compare", &[("etag", false), ("size", true)]);
    let sums = ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"].map(|name| (name, Some(name)));
    let checksum = if params.has("checksum") { params.word("checksum", &sums) } else { None };
    if by_size && checksum.is_some() {
        let at = params.place_of("checksum");
        params.mistake(at, "`checksum` does not go with `compare = \"size\"`", "give one or the other", None);
    }
    Arc::new(Synced {
        services: services.clone(),
        source,
        target,
        exclude: params.texts("exclude"),
        by_size,
        checksum,
        max_missing: params.opt_count("max_missing").unwrap_or(0),
        extra: params.word("extra", &[("refuse", false), ("allow", true)]),
        min_objects,
        settle: params.opt_duration("settle").unwrap_or_default(),
        before: AtomicU64::new(0),
    })
}

/// What a bucket's name is not ("General purpose bucket naming rules", S3 user guide).
fn unfit(name: &str) -> Option<(&'static str, Option<String>)> {
    if name.starts_with("s3://") || name.contains('/') {
        return Some(("an address", Some("the name alone, and what follows by `prefix` or `source_prefix`".into())));
    }
    if name.ends_with("--x-s3") {
        return Some(("a directory bucket, whose listings have no order", None));
    }
    let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    let fits = (3..=63).contains(&name.len()) && name.bytes().all(letters);
    (!fits).then_some(("3 to 63 small letters, digits, dots and hyphens", None))
}

/// One side's objects: what was listed and not compared yet.
struct Stream<'a> {
    listing: Listing<'a>,
    ready: VecDeque<Object>,
}

impl<'a> Stream<'a> {
    fn new(side: &'a Side) -> Self {
        Self { listing: Listing::new(&side.bucket, &side.prefix), ready: VecDeque::new() }
    }

    fn low(&self) -> bool {
        self.ready.len() < LOW && !self.listing.over
    }

    fn dry(&self) -> bool {
        self.ready.is_empty() && !self.listing.over
    }
}

impl Synced {
    /// Reads on until both sides have something to compare, or are over.
    async fn fill(&self, a: &mut Stream<'_>, b: &mut Stream<'_>, patience: &Patience) -> Result<(), Failure> {
        let read = async |side: &mut Stream<'_>, wanted: bool| {
            if wanted {
                let page = self.services.aws.objects_page(&mut side.listing, patience).await?;
                let kept = page.into_iter().filter(|one| !self.exclude.iter().any(|out| left_out(&one.key, out)));
                side.ready.extend(kept);
            }
            Ok::<(), Failure>(())
        };
        while a.dry() || b.dry() {
            let (wants_a, wants_b) = (a.low(), b.low());
            let (from, to) = tokio::join!(read(a, wants_a), read(b, wants_b));
            from?;
            to?;
        }
        Ok(())
    }

    async fn compare(&self, cx: &Cx, patience: &Patience, begun: DateTime<Utc>) -> Result<Tally, Failure> {
        let (mut a, mut b) = (Stream::new(&self.source), Stream::new(&self.target));
        let mut tally = Tally::default();
        let young = |one: &Object| {
            let settle = TimeDelta::from_std(self.settle).unwrap_or(TimeDelta::MAX);
            !self.settle.is_zero() && begun - one.at < settle
        };
        let mut doubtful = Vec::new();
        loop {
            if a.dry() || b.dry() {
                self.fill(&mut a, &mut b, patience).await?;
                self.say(cx, &tally, a.ready.front().or(b.ready.front()));
            }
            let order = match (a.ready.front(), b.ready.front()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(a), Some(b)) => a.key.as_bytes().cmp(b.key.as_bytes()),
            };
            let from = if order == Ordering::Greater { None } else { a.ready.pop_front() };
            let to = if order == Ordering::Less { None } else { b.ready.pop_front() };
            for (side, count) in [(&from, &mut tally.source), (&to, &mut tally.target)] {
                if let Some(one) = side {
                    *count = (count.0 + 1, count.1.saturating_add(one.size));
                }
            }
            match (from, to) {
                (Some(one), None) if young(&one) => tally.settling += 1,
                (Some(one), None) => tally.missing.add_at(one.at, || clean_line(&one.key, 200)),
                (None, Some(one)) if young(&one) => tally.settling += 1,
                (None, Some(one)) => tally.extra.add_at(one.at, || clean_line(&one.key, 200)),
                (Some(from), Some(to)) => self.judge(&mut tally, &mut doubtful, from, &to, young),
                (None, None) => break,
            }
            if doubtful.len() >= AT_ONCE * 4 {
                self.prove(&mut tally, std::mem::take(&mut doubtful), patience).await?;
                self.say(cx, &tally, a.ready.front());
            }
        }
        self.prove(&mut tally, doubtful, patience).await?;
        Ok(tally)
    }

    fn judge(
        &self,
        tally: &mut Tally,
        doubtful: &mut Vec<String>,
        from: Object,
        to: &Object,
        young: impl Fn(&Object) -> bool,
    ) {
        let likeness = match likeness(&from, to) {
            Likeness::OtherTag if self.by_size => Likeness::SameSize,
            other => other,
        };
        match (likeness, self.checksum) {
            (Likeness::Same, _) => tally.same += 1,
            (Likeness::SameSize | Likeness::OtherTag, Some(_)) if !young(&from) => doubtful.push(from.key),
            (Likeness::SameSize, None) => {
                tally.same += 1;
                tally.by_size += 1;
            }
            _ if young(&from) || young(to) => tally.settling += 1,
            (Likeness::OtherSize, _) => {
                tally.different.add(|| format!("{} ({} → {})", clean_line(&from.key, 200), from.size, to.size));
            }
            _ => {
                tally.other_tag += 1;
                tally.different.add(|| format!("{} (entity tag)", clean_line(&from.key, 200)));
            }
        }
    }

    /// Lets the checksums decide that S3 keeps.
    async fn prove(&self, tally: &mut Tally, keys: Vec<String>, patience: &Patience) -> Result<(), Failure> {
        let Some(algorithm) = self.checksum else { return Ok(()) };
        let aws = &self.services.aws;
        let mut asked = stream::iter(keys)
            .map(|key| async move {
                // An address with such steps in it would be cut short on the way.
                if key.split('/').any(|step| matches!(step, "." | "..")) {
                    return Ok((key, None));
                }
                let (from, to) = (format!("{}{key}", self.source.prefix), format!("{}{key}", self.target.prefix));
                let (from, to) = tokio::join!(
                    aws.checksum(&self.source.bucket, &from, algorithm, patience),
                    aws.checksum(&self.target.bucket, &to, algorithm, patience)
                );
                Ok::<_, Failure>((key, from?.zip(to?)))
            })
            .buffered(AT_ONCE);
        while let Some(answer) = asked.next().await {
            let (key, pair) = answer?;
            let key = clean_line(&key, 200);
            match pair {
                Some((from, to)) if from == to => {
                    tally.same += 1;
                    tally.by_checksum += 1;
                }
                // Checksums of parts depend on where the parts were cut.
                Some((from, to)) if from.composite || to.composite => {
                    tally.unproven.add(|| format!("{key} ({algorithm} of parts)"));
                }
                Some(_) => tally.different.add(|| format!("{key} ({algorithm})")),
                None => tally.unproven.add(|| format!("{key} (no {algorithm})")),
            }
        }
        Ok(())
    }

    fn say(&self, cx: &Cx, tally: &Tally, next: Option<&Object>) {
        let done = tally.source.0;
        let before = self.before.load(Atomic::Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "a share of a bar")]
        let share = if before == 0 { 0.0 } else { (done as f32 / before as f32).min(0.99) };
        let at = next.map(|one| format!(", now at {}", clean_line(&one.key, 120))).unwrap_or_default();
        let wrong = tally.missing.count + tally.different.count;
        let wrong = if wrong == 0 { String::new() } else { format!(", {wrong} missing or different") };
        cx.progress(share, format!("{done} objects compared{wrong}{at}"));
    }

    fn place(side: &Side) -> String {
        let Side { bucket, prefix } = side;
        if prefix.is_empty() { bucket.name.clone() } else { format!("{}/{prefix}", bucket.name) }
    }

    fn verdict(&self, tally: &Tally) -> Result<Seen, Failure> {
        let (source, target) = (Self::place(&self.source), Self::place(&self.target));
        let (objects, size) = tally.source;
        let settling = match tally.settling {
            0 => String::new(),
            n => format!(", {n} younger than {}", short_duration(self.settle)),
        };
        if objects < self.min_objects {
            let words = format!("no data: {source} holds {objects} objects, wanted at least {}", self.min_objects);
            let failure = Failure::new(Class::NotYet, words).because(format!("{target} holds {}", tally.target.0));
            return Err(failure.hint("is it the right bucket, prefix and account?"));
        }
        let extra = if self.extra { 0 } else { tally.extra.count };
        let missing = if tally.missing.count > self.max_missing { tally.missing.count } else { 0 };
        if missing + extra + tally.different.count > 0 {
            let words = format!(
                "{target}: {} missing, {} different, {} extra of {objects} objects of {source}{settling}",
                tally.missing.count, tally.different.count, tally.extra.count
            );
            let failure = tally.causes(Failure::new(Class::NotYet, words), now());
            // All of them, and nothing else: that is a key, not a copy that went wrong.
            return Err(if missing + extra == 0 && tally.other_tag == tally.different.count {
                failure
                    .hint("entity tags never agree where KMS keys encrypt: give a `checksum`, or `compare = \"size\"`")
            } else {
                failure.hint(format!("copy once more: aws s3 sync s3://{source} s3://{target}"))
            });
        }
        if tally.unproven.count > 0 {
            let sum = self.checksum.unwrap_or_default();
            let words = format!("no data: {} of {objects} objects cannot be compared by {sum}", tally.unproven.count);
            let hint = "write them again with that checksum, or compare without `checksum`";
            return Err(tally.causes(Failure::new(Class::NotYet, words), now()).hint(hint));
        }
        let mut line = format!("{target} holds the {} objects of {source} ({})", tally.same, bytes(size));
        for (n, words) in [
            (tally.by_size, "compared by size only"),
            (tally.by_checksum, "by checksum"),
            (tally.missing.count, "missing"),
            (tally.extra.count, "extra"),
        ] {
            if n > 0 {
                line.push_str(&format!(", {n} {words}"));
            }
        }
        line.push_str(&settling);
        let evidence = json!({
            "source": { "objects": objects, "bytes": size },
            "target": { "objects": tally.target.0, "bytes": tally.target.1 },
            "same": tally.same, "by_size_only": tally.by_size, "by_checksum": tally.by_checksum,
            "missing": tally.missing.count, "extra": tally.extra.count, "settling": tally.settling,
        });
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let value = tally.same as f64;
        Ok(Seen::new(line).value(value).with(evidence))
    }
}

impl Check for Synced {
    fn looks(&self) -> String {
        let by = match (self.checksum, self.by_size) {
            (Some(sum), _) => format!("entity tag or {sum}"),
            (None, true) => "size".into(),
            (None, false) => "entity tag".into(),
        };
        format!(
            "S3 ListObjectsV2 {} and {} expects the same by {by}",
            Self::place(&self.source),
            Self::place(&self.target)
        )
    }

    fn needs(&self) -> Vec<Permission> {
        let aws = &self.services.aws;
        let mut needs = Vec::new();
        for Side { bucket, prefix } in [&self.source, &self.target] {
            if self.checksum.is_some() {
                let objects = aws.global_arn("s3", &format!("{}/{prefix}*", bucket.name));
                needs.push(Permission::new("s3:GetObject", objects));
            }
            needs.push(Permission::new("s3:ListBucket", aws.global_arn("s3", &bucket.name)));
        }
        needs.sort();
        needs.dedup();
        needs
    }

    fn every(&self) -> Duration {
        Duration::from_secs(30)
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        self.services.aws.fence()
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(async move {
            let tally = self.compare(cx, &Patience::of(cx), now()).await?;
            self.before.store(tally.source.0, Atomic::Relaxed);
            cx.progress(1.0, format!("{} objects compared", tally.source.0));
            self.verdict(&tally)
        })
    }
}

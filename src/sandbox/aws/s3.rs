//! S3: the shop's uploads, in the old bucket (us-east-1, beside Heroku) and in the new one. Objects are told, not kept:
//! there are over a thousand, and all of them follow from their number. Read only, path style.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::TimeDelta;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Caller, No};
use crate::sandbox::{
    http::{Asked, Reply},
    names::WorldNames,
    world::{Moment, World},
    xml::Node,
};

/// What there is since the world began.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct S3 {
    since: Moment,
}

impl S3 {
    pub fn new(_names: &WorldNames, now: Moment) -> Self {
        Self { since: now }
    }
}

const OLD: &str = "acme-uploads-old";
const NEW: &str = "acme-uploads";
const OLD_REGION: &str = "us-east-1";
/// Pictures that customers have uploaded: more than one page.
const UPLOADS: usize = 1234;
/// Of them, those that the fault `s3.missing` keeps from the new bucket.
const LATE: usize = 3;
/// Keys of one page, at most.
const PAGE: usize = 1000;
/// What `encoding-type=url` leaves alone.
const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/').remove(b' ');

/// An object of the story.
struct Object {
    key: String,
    size: u64,
    etag: String,
    at: Moment,
    crc64: String,
}

fn object(key: &str, size: u64, at: Moment, parts: Option<u32>) -> Object {
    let hash = Sha256::digest(key);
    let hex = hash.iter().take(16).fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    });
    let etag = parts.map_or(hex.clone(), |parts| format!("{hex}-{parts}"));
    // As every upload has had it since December 2024, also one in parts: over the whole object.
    Object { key: key.into(), size, etag, at, crc64: STANDARD.encode(&hash[..8]) }
}

/// The objects of a bucket, in the order of their keys.
fn objects(world: &World, bucket: &str) -> Vec<Object> {
    let old = bucket == OLD;
    let since = world.s3.since;
    // The copy was made a day before the world began.
    let at = |days: i64| since - TimeDelta::days(if old { days } else { 1 });
    let mut all = vec![
        object("exports/2026 Q3/Umsätze + Steuer & mehr.csv", 48_213, at(40), None),
        object("exports/2026 Q4/<Entwurf>.csv", 1_204, at(9), None),
    ];
    all.extend((1..=UPLOADS).map(|n| {
        let size = 1000 + (n as u64 * 7919) % 900_000;
        object(&format!("uploads/{n:05}.jpg"), size, at(300 - (n as i64 * 290) / UPLOADS as i64), None)
    }));
    // The copy cut the videos into other parts: the same bytes, another entity tag.
    all.extend((1..=3).map(|n| {
        let size = n * 70_000_000;
        let parts = if old { 8 * 1024 * 1024 } else { 64 * 1024 * 1024 };
        object(&format!("videos/product-{n}.mp4"), size, at(20), u32::try_from(size.div_ceil(parts)).ok())
    }));
    if old {
        // What the console makes for a folder, and what nobody wants in the new bucket.
        all.push(object("exports/", 0, at(200), None));
        all.extend((1..=4).map(|n| object(&format!("tmp/resize-{n}.jpg"), 9_000 + n, at(3), None)));
    }
    all.sort_by(|a, b| a.key.as_bytes().cmp(b.key.as_bytes()));
    all
}

fn region<'w>(world: &'w World, bucket: &str) -> Option<&'w str> {
    match bucket {
        OLD => Some(OLD_REGION),
        NEW => Some(&world.names.region),
        _ => None,
    }
}

/// The bucket and the key of a request.
fn place(asked: &Asked) -> (String, String) {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let path = asked.path.trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    (decode(bucket), decode(key))
}

/// The resource that IAM checks ("Actions, resources, and condition keys for Amazon S3"): the bucket, or the object.
pub(super) fn resource(_: &World, operation: &str, params: &serde_json::Value) -> String {
    let text = |key: &str| params[key].as_str().unwrap_or_default();
    match operation {
        "GetObject" | "HeadObject" => format!("arn:aws:s3:::{}/{}", text("Bucket"), text("Key")),
        _ => format!("arn:aws:s3:::{}", text("Bucket")),
    }
}

/// An error as S3 spells it; a HEAD's is cut down to its status on the way out.
pub(super) fn error(status: u16, code: &str, message: &str, resource: &str, request_id: &str) -> Reply {
    let children = [
        Node::leaf("Code", code),
        Node::leaf("Message", message),
        Node::leaf("Resource", resource),
        Node::leaf("RequestId", request_id),
        Node::leaf("HostId", "c2FuZGJveA=="),
    ];
    Reply::new(status, "application/xml", Node::of("Error", children).document()).with("x-amz-request-id", request_id)
}

fn iso(at: Moment) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

pub(super) fn answer(world: &mut World, signed_for: &str, caller: &Caller<'_>) -> Result<Reply, No> {
    let asked = caller.asked;
    let (bucket, key) = place(asked);
    if !matches!(asked.method.as_str(), "GET" | "HEAD") {
        return Err((501, "NotImplemented", "the buckets of the sandbox can only be read".into()));
    }
    if world.strikes("s3.slow_down") {
        return Err((503, "SlowDown", "Please reduce your request rate.".into()));
    }
    if bucket.is_empty() {
        let made = iso(world.s3.since - TimeDelta::days(400));
        let one = |name| Node::of("Bucket", [Node::leaf("Name", name), Node::leaf("CreationDate", &made)]);
        let owner = Node::of("Owner", [Node::leaf("ID", "5a0db0c5")]);
        let root = Node::of("ListAllMyBucketsResult", [owner, Node::of("Buckets", [one(NEW), one(OLD)])]);
        return Ok(Reply::new(200, "application/xml", root.document()));
    }
    let Some(home) = region(world, &bucket).map(str::to_owned) else {
        return Err((404, "NoSuchBucket", "The specified bucket does not exist".into()));
    };
    if signed_for != home {
        let message = "The bucket you are attempting to access must be addressed using the specified endpoint. \
                       Please send all future requests to this endpoint.";
        let reply = error(301, "PermanentRedirect", message, &asked.path, &caller.request_id);
        return Ok(reply.with("x-amz-bucket-region", home));
    }
    let reply = match (asked.method.as_str(), key.is_empty()) {
        ("HEAD", true) => Reply::new(200, "application/xml", ""),
        (_, true) if asked.param("location").is_some() => {
            // us-east-1 has no constraint.
            let constraint = if home == OLD_REGION { "" } else { &home };
            Reply::new(200, "application/xml", Node::leaf("LocationConstraint", constraint).document())
        }
        (_, true) => list(world, &bucket, asked)?,
        _ => one(world, &bucket, &key, asked)?,
    };
    Ok(reply.with("x-amz-bucket-region", home).with("x-amz-request-id", &caller.request_id))
}

fn one(world: &World, bucket: &str, key: &str, asked: &Asked) -> Result<Reply, No> {
    let found = objects(world, bucket).into_iter().find(|one| one.key == key);
    let one = found.ok_or_else(|| (404, "NoSuchKey", "The specified key does not exist.".to_owned()))?;
    let http = one.at.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if asked.method == "HEAD" {
        let reply = Reply::new(200, "binary/octet-stream", "")
            .with("content-length", one.size)
            .with("etag", format!("\"{}\"", one.etag))
            .with("last-modified", http)
            .with("accept-ranges", "bytes");
        let sums = asked.header("x-amz-checksum-mode").eq_ignore_ascii_case("enabled");
        return Ok(if sums {
            reply.with("x-amz-checksum-crc64nvme", one.crc64).with("x-amz-checksum-type", "FULL_OBJECT")
        } else {
            reply
        });
    }
    if asked.param("attributes").is_none() {
        return Err((501, "NotImplemented", "the objects of the sandbox have no content".into()));
    }
    let wanted = asked.header("x-amz-object-attributes").to_ascii_lowercase();
    let wants = |name: &str| wanted.split(',').any(|word| word.trim() == name);
    if wanted.is_empty() {
        return Err((
            400,
            "InvalidRequest",
            "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty"
                .into(),
        ));
    }
    let sum = [Node::leaf("ChecksumCRC64NVME", &one.crc64), Node::leaf("ChecksumType", "FULL_OBJECT")];
    let parts = [
        wants("etag").then(|| Node::leaf("ETag", &one.etag)),
        wants("checksum").then(|| Node::of("Checksum", sum)),
        wants("storageclass").then(|| Node::leaf("StorageClass", "STANDARD")),
        wants("objectsize").then(|| Node::leaf("ObjectSize", one.size)),
    ];
    let root = Node::of("GetObjectAttributesResponse", parts.into_iter().flatten());
    Ok(Reply::new(200, "application/xml", root.document()).with("last-modified", http))
}

/// Where a listing goes on: after which key, and whether the newest are kept from it.
fn token(late: bool, after: &str) -> String {
    STANDARD.encode(format!("{}{after}", if late { '-' } else { '+' }))
}

fn list(world: &mut World, bucket: &str, asked: &Asked) -> Result<Reply, No> {
    let bad = |message: &str| (400, "InvalidArgument", message.to_owned());
    if asked.param("list-type").as_deref() != Some("2") {
        return Err((501, "NotImplemented", "of the listings only ListObjectsV2 is part of the sandbox".into()));
    }
    let param = |name: &str| asked.param(name).unwrap_or_default();
    let (prefix, delimiter) = (param("prefix"), param("delimiter"));
    let coded = match param("encoding-type").as_str() {
        "" => false,
        "url" => true,
        _ => return Err(bad("Invalid Encoding Method specified in Request")),
    };
    let most = match asked.param("max-keys").map(|text| text.parse::<usize>()) {
        None => PAGE,
        Some(Ok(n)) => n.min(PAGE),
        Some(Err(_)) => return Err(bad("Provided max-keys not an integer or within integer range")),
    };
    let (late, after) = match asked.param("continuation-token") {
        None => (bucket == NEW && world.strikes("s3.missing"), param("start-after")),
        Some(token) => {
            let text = STANDARD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let text = text.ok_or_else(|| bad("The continuation token provided is incorrect"))?;
            match text.split_at_checked(1) {
                Some((flag @ ("-" | "+"), after)) => (flag == "-", after.to_owned()),
                _ => return Err(bad("The continuation token provided is incorrect")),
            }
        }
    };
    let code = |text: &str| {
        if coded { utf8_percent_encode(text, PLAIN).to_string().replace(' ', "+") } else { text.to_owned() }
    };
    let hidden: Vec<String> =
        (0..if late { LATE } else { 0 }).map(|n| format!("uploads/{:05}.jpg", UPLOADS - n)).collect();
    let (mut contents, mut common, mut last, mut cut) = (Vec::new(), Vec::<String>::new(), String::new(), false);
    let below =
        |one: &Object| one.key.starts_with(&prefix) && one.key.as_str() > after.as_str() && !hidden.contains(&one.key);
    for one in objects(world, bucket).into_iter().filter(below) {
        let folder = one.key[prefix.len()..].find(&delimiter).filter(|_| !delimiter.is_empty());
        let folder = folder.map(|at| one.key[..prefix.len() + at + delimiter.len()].to_owned());
        // A folder that was told on the page before is not told again.
        if folder.as_ref().is_some_and(|folder| common.last() == Some(folder) || after.starts_with(folder.as_str())) {
            last.clone_from(&one.key);
            continue;
        }
        if contents.len() + common.len() == most {
            cut = true;
            break;
        }
        last.clone_from(&one.key);
        match folder {
            Some(folder) => common.push(folder),
            None => contents.push(Node::of(
                "Contents",
                [
                    Node::leaf("Key", code(&one.key)),
                    Node::leaf("LastModified", iso(one.at)),
                    Node::leaf("ETag", format!("\"{}\"", one.etag)),
                    Node::leaf("ChecksumAlgorithm", "CRC64NVME"),
                    Node::leaf("ChecksumType", "FULL_OBJECT"),
                    Node::leaf("Size", one.size),
                    Node::leaf("StorageClass", "STANDARD"),
                ],
            )),
        }
    }
    let mut children = vec![
        Node::leaf("Name", bucket),
        Node::leaf("Prefix", code(&prefix)),
        Node::leaf("KeyCount", contents.len() + common.len()),
        Node::leaf("MaxKeys", most),
        Node::leaf("IsTruncated", cut && most > 0),
    ];
    if coded {
        children.push(Node::leaf("EncodingType", "url"));
    }
    if !delimiter.is_empty() {
        children.push(Node::leaf("Delimiter", code(&delimiter)));
    }
    if cut && most > 0 {
        children.push(Node::leaf("NextContinuationToken", token(late, &last)));
    }
    children.extend(contents);
    children.extend(common.iter().map(|folder| Node::of("CommonPrefixes", [Node::leaf("Prefix", code(folder))])));
    let root = Node::of("ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"", children);
    Ok(Reply::new(200, "application/xml", root.document()))
}

//! S3, read: the objects of a bucket in the order of their keys, page by page, and a stored checksum. A bucket says
//! itself in which region it is.

use std::sync::OnceLock;

use chrono::{DateTime, Utc};
use percent_encoding::percent_decode_str;

use super::{
    Aws, Patience,
    call::Call,
    errors::garbled,
    session::Service,
    signed::{Answer, Method, Request, xml},
    xml::Node,
};
use crate::base::{Class, Failure};

const S3: Service<'_> = Service::new("S3", "s3", "S3", "");
const LIST: Call<'_> = Call::reads(S3.name, "ListObjectsV2", "s3:ListBucket");
const HEAD: Call<'_> = Call::reads(S3.name, "HeadObject", "s3:GetObject");
/// Pages of a thousand keys that are followed: twenty million objects.
const PAGES: usize = 20_000;

/// A bucket and what is known of its place.
#[derive(Debug, Default)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// The region that the runbook names.
    pub region: Option<String>,
    /// The region that S3 named.
    learned: OnceLock<String>,
}

impl Bucket {
    /// A bucket, in a region or in the environment's.
    #[must_use]
    pub fn new(name: String, region: Option<String>) -> Self {
        Self { name, region, learned: OnceLock::new() }
    }

    fn region(&self) -> Option<&str> {
        self.learned.get().or(self.region.as_ref()).map(String::as_str)
    }
}

/// An object as a listing tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its key, less the prefix of the listing.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// Without its quotes.
    pub etag: String,
    /// When it was last written.
    pub at: DateTime<Utc>,
}

impl Object {
    /// True where it was uploaded in parts: its entity tag is then no hash of its bytes.
    #[must_use]
    pub fn in_parts(&self) -> bool {
        self.etag.contains('-')
    }
}

/// A checksum that S3 keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    /// As S3 writes it, base64.
    pub value: String,
    /// True where it is made of the checksums of parts, so that it depends on their sizes.
    pub composite: bool,
}

/// Where a listing stands.
pub struct Listing<'a> {
    bucket: &'a Bucket,
    prefix: &'a str,
    next: Option<String>,
    last: Option<String>,
    pages: usize,
    /// True when there is no further page.
    pub over: bool,
}

impl<'a> Listing<'a> {
    /// Before the first page.
    #[must_use]
    pub fn new(bucket: &'a Bucket, prefix: &'a str) -> Self {
        Self { bucket, prefix, next: None, last: None, pages: 0, over: false }
    }
}

impl Aws {
    /// The next page of a listing, in ascending order of keys; nothing when it is over.
    ///
    /// # Errors
    /// `Misconfigured` where there is no such bucket, `Denied`, `FailedNothingDone`.
    pub async fn objects_page(&self, listing: &mut Listing<'_>, patience: &Patience) -> Result<Vec<Object>, Failure> {
        if listing.over {
            return Ok(Vec::new());
        }
        if listing.pages == PAGES {
            let words = format!("no data: {} has more than {PAGES} pages of objects", listing.bucket.name);
            return Err(Failure::new(Class::FailedNothingDone, words).hint("compare it prefix by prefix"));
        }
        listing.pages += 1;
        let mut search = vec![("encoding-type", "url".to_owned()), ("list-type", "2".to_owned())];
        if !listing.prefix.is_empty() {
            search.push(("prefix", listing.prefix.to_owned()));
        }
        search.extend(listing.next.take().map(|token| ("continuation-token", token)));
        let answer = self.s3(listing.bucket, &LIST, Method::Get, None, &search, patience).await?;
        let root = xml(&LIST, &answer)?;
        let page = read(&root, listing).map_err(|what| {
            let failure = garbled(&LIST, &what).failure;
            failure.because(format!("bucket {}", listing.bucket.name))
        })?;
        Ok(page)
    }

    /// The checksum that S3 keeps of an object, by the algorithm's name in lower case (`sha256`). `Ok(None)`: it keeps
    /// none of that kind. `Err(None)`-like absence of the object itself is `NotYet`.
    ///
    /// # Errors
    /// `NotYet` where the object is gone; as [`Aws::page`].
    pub async fn checksum(
        &self,
        bucket: &Bucket,
        key: &str,
        algorithm: &str,
        patience: &Patience,
    ) -> Result<Option<Checksum>, Failure> {
        let answer = self.s3(bucket, &HEAD, Method::Head, Some(key), &[], patience).await?;
        if answer.status == 404 {
            return Err(Failure::new(Class::NotYet, format!("{}/{key} went away while it was compared", bucket.name)));
        }
        let value = answer.header(&format!("x-amz-checksum-{algorithm}"));
        let composite = answer.header("x-amz-checksum-type") == "COMPOSITE" || value.contains('-');
        Ok((!value.is_empty()).then(|| Checksum { value: value.to_owned(), composite }))
    }

    /// One request to a bucket where it is. A bucket of another region answers with that region's name, which is
    /// then kept ("Request routing", S3 user guide).
    async fn s3(
        &self,
        bucket: &Bucket,
        call: &Call<'_>,
        method: Method,
        key: Option<&str>,
        search: &[(&'static str, String)],
        patience: &Patience,
    ) -> Result<Answer, Failure> {
        let session = self.session().await?;
        for _ in 0..2 {
            let mut service = S3.at(bucket.region());
            // A certificate for *.s3.… covers one label; other endpoints know paths only.
            let hosted = session.custom(&service).is_none() && !bucket.name.contains('.');
            let mut path = if hosted { String::new() } else { format!("/{}", bucket.name) };
            if hosted {
                service.label = &bucket.name;
            }
            if key.is_some() || path.is_empty() {
                path.push('/');
            }
            path.push_str(key.unwrap_or_default());
            let mut request = Request::rest(method, path);
            if method == Method::Head {
                request.headers.push(("x-amz-checksum-mode", "ENABLED".into()));
            }
            let request = search.iter().fold(request, |request, (key, value)| request.with(key, value));
            let here = session.region_of(&service);
            let absent = |answer: &Answer| method == Method::Head && answer.status == 404;
            let means = |answer: &Answer| elsewhere(answer, here).is_some() || absent(answer);
            let answer = self.send_or(&service, call, &request, patience, means).await?;
            match elsewhere(&answer, here) {
                Some(region) if bucket.learned.set(region.clone()).is_ok() => {}
                Some(region) => {
                    let words = format!("bucket {} is neither in {here} nor in {region}", bucket.name);
                    return Err(Failure::new(Class::Misconfigured, words));
                }
                None => return Ok(answer),
            }
        }
        let words = format!("S3 sends the requests for bucket {} from region to region", bucket.name);
        Err(Failure::new(Class::FailedNothingDone, words).hint("a bucket that was just made needs some minutes"))
    }
}

/// The region that an answer sends us to: `PermanentRedirect`, `TemporaryRedirect`, `AuthorizationHeaderMalformed`,
/// `IllegalLocationConstraintException`; a HEAD has the header only.
fn elsewhere(answer: &Answer, here: &str) -> Option<String> {
    if !matches!(answer.status, 301 | 307 | 400) {
        return None;
    }
    let told = answer.header("x-amz-bucket-region").to_owned();
    let told = if told.is_empty() { Node::parse(&answer.text()).ok()?.text("Region").to_owned() } else { told };
    let plain = told.len() <= 32 && told.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    (plain && !told.is_empty() && told != here).then_some(told)
}

/// Reads a page and moves the listing on.
fn read(root: &Node, listing: &mut Listing<'_>) -> Result<Vec<Object>, String> {
    if root.name != "ListBucketResult" {
        return Err("the answer is no listing".into());
    }
    let coded = root.text("EncodingType") == "url";
    let mut page = Vec::new();
    for one in root.children.iter().filter(|child| child.name == "Contents") {
        let raw = one.at("Key").map(|key| key.text.as_str()).unwrap_or_default();
        let full = if coded { decode(raw)? } else { raw.to_owned() };
        let Some(key) = full.strip_prefix(listing.prefix) else {
            return Err("a key is not below the prefix that was asked for".into());
        };
        if full.is_empty() {
            return Err("an object has no key".into());
        }
        // What is compared side by side has to come in order; directory buckets do not keep one.
        if listing.last.as_ref().is_some_and(|last| last.as_bytes() >= full.as_bytes()) {
            return Err("the keys are not in ascending order".into());
        }
        let size = one.text("Size").parse().map_err(|_| format!("{key} has no size"))?;
        let at = one.text("LastModified").parse().map_err(|_| format!("{key} has no time"))?;
        let etag = one.text("ETag").trim_matches('"').to_owned();
        page.push(Object { key: key.to_owned(), size, etag, at });
        listing.last = Some(full);
    }
    match root.text("IsTruncated") {
        "false" => listing.over = true,
        "true" => {
            let token = root.text("NextContinuationToken");
            if token.is_empty() || page.is_empty() {
                return Err("it is cut off and does not say how it goes on".into());
            }
            listing.next = Some(token.to_owned());
        }
        _ => return Err("it does not say whether it is whole".into()),
    }
    Ok(page)
}

/// `encoding-type=url`: as in a form, so that a space is a plus.
fn decode(text: &str) -> Result<String, String> {
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(|_| "a key is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_region_is_believed_only_as_a_name() {
        let answer = |status, region: &str, body: &str| Answer {
            status,
            headers: vec![("x-amz-bucket-region".into(), region.into())],
            body: body.as_bytes().to_vec(),
        };
        assert_eq!(elsewhere(&answer(301, "us-east-1", ""), "eu-west-1").as_deref(), Some("us-east-1"));
        let malformed = "<Error><Code>AuthorizationHeaderMalformed</Code><Region>us-west-2</Region></Error>";
        assert_eq!(elsewhere(&answer(400, "", malformed), "eu-west-1").as_deref(), Some("us-west-2"));
        for (status, region) in [(200, "us-east-1"), (301, "eu-west-1"), (301, "evil.example/"), (404, "us-east-1")] {
            assert_eq!(elsewhere(&answer(status, region, "<Error/>"), "eu-west-1"), None, "{status} {region}");
        }
    }

    #[test]
    fn odd_keys() {
        assert_eq!(decode("a+b%2Bc%2F%C3%BC%0A%26").unwrap(), "a b+c/ü\n&");
        assert!(decode("%ff").is_err());
    }
}

//! Bodies that are put together: forms with files (RFC 7578).

use hyper::body::Bytes;

/// One part of a form.
pub struct Part {
    /// The field's name.
    pub name: String,
    /// For a file: its name and media type.
    pub file: Option<(String, String)>,
    /// What it holds.
    pub content: Bytes,
}

/// The content type and the body of a form.
#[must_use]
pub fn multipart(parts: &[Part]) -> (String, Bytes) {
    // Not to be guessed by whoever wrote what is sent.
    let boundary = format!("gonogo-{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
    let mut body = Vec::new();
    for part in parts {
        let name = quoted(&part.name);
        let head = match &part.file {
            Some((file, media)) => {
                let file = quoted(file);
                format!("form-data; name=\"{name}\"; filename=\"{file}\"\r\ncontent-type: {media}")
            }
            None => format!("form-data; name=\"{name}\""),
        };
        body.extend_from_slice(format!("--{boundary}\r\ncontent-disposition: {head}\r\n\r\n").as_bytes());
        body.extend_from_slice(&part.content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body.into())
}

/// As browsers escape names (WHATWG HTML, "multipart form data").
fn quoted(name: &str) -> String {
    name.replace('\r', "%0D").replace('\n', "%0A").replace('"', "%22")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_end_their_line() {
        let part = |name: &str, file: Option<&str>| Part {
            name: name.into(),
            file: file.map(|file| (file.to_owned(), "text/plain".to_owned())),
            content: Bytes::from_static(b"x"),
        };
        let (media, body) = multipart(&[part("a", None), part("b\"\r\nx: y", Some("f\".txt"))]);
        let boundary = media.strip_prefix("multipart/form-data; boundary=").unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert_eq!(
            text,
            format!(
                "--{boundary}\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\nx\r\n--{boundary}\r\n\
                 content-disposition: form-data; name=\"b%22%0D%0Ax: y\"; filename=\"f%22.txt\"\r\n\
                 content-type: text/plain\r\n\r\nx\r\n--{boundary}--\r\n"
            )
        );
    }
}

//! Wildcards as IAM has them: `*` is any text, `?` any one character. A `*` inside a segment of an ARN
//! stays in it; only one that ends its segment reaches over the colon.
//!
//! Source: "IAM JSON policy elements: Resource", AWS Identity and Access Management user guide.

/// True where the pattern matches the whole text. The text's own `*` and `?` are characters.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    walk(pattern, text, |_| true)
}

/// True where everything that `narrow` matches is matched by `broad` as well. Never wrongly true.
#[must_use]
pub fn covers(broad: &str, narrow: &str) -> bool {
    // A `?` stands for one character, and the `*` of the other pattern for more than that.
    broad == narrow || walk(broad, narrow, |byte| byte != b'*')
}

/// Which beginnings of the text each beginning of the pattern matches.
fn walk(pattern: &str, text: &str, is_one: impl Fn(u8) -> bool) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let arn = pattern.starts_with(b"arn:");
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for (at, &wanted) in pattern.iter().enumerate() {
        let mut next = vec![false; text.len() + 1];
        if wanted == b'*' {
            let over_colons = !arn || pattern.get(at + 1).is_none_or(|after| *after == b':');
            next[0] = reached[0];
            for (i, &byte) in text.iter().enumerate() {
                let takes = over_colons || (byte != b':' && is_one(byte));
                next[i + 1] = reached[i + 1] || (next[i] && takes);
            }
        } else {
            for (i, &byte) in text.iter().enumerate() {
                let fits = byte == wanted || (wanted == b'?' && byte != b':' && is_one(byte));
                next[i + 1] = reached[i] && fits;
            }
        }
        reached = next;
    }
    reached[text.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_as_iam_does() {
        for (pattern, text) in [
            ("*", "anything:at/all"),
            ("", ""),
            ("ecs:Describe*", "ecs:DescribeServices"),
            ("arn:aws:ecs:*:1:service/acme/*", "arn:aws:ecs:eu-west-1:1:service/acme/web"),
            ("arn:aws:secretsmanager:*:*:secret:a-??????", "arn:aws:secretsmanager:e:1:secret:a-AbCdEf"),
            ("arn:aws:s3:::b/*", "arn:aws:s3:::b/x/y:z"),
            ("arn:aws:ecs:*", "arn:aws:ecs:eu-west-1:1:cluster/x"),
            ("a*b*c", "aXbYbZc"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "x"),
            ("?", ""),
            ("arn:aws:ecs:*:1:service/acme/web", "arn:aws:ecs:eu-west-1:1:service/acme/web2"),
            ("arn:aws:logs:eu*1:log-group", "arn:aws:logs:eu:x:1:log-group"),
            ("arn:aws:route53:::hostedzone/Z?", "arn:aws:route53:::hostedzone/Z"),
            ("a*b", "abc"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn covers_what_it_can_prove() {
        for (broad, narrow) in
            [("*", "arn:aws:x:*"), ("a/*", "a/*"), ("a/*", "a/b-??????"), ("a?", "a?"), ("a*", "a?b*")]
        {
            assert!(covers(broad, narrow), "{broad} {narrow}");
        }
        for (broad, narrow) in [("a?", "a*"), ("a/b", "a/*"), ("a/b*", "a/*"), ("arn:a*b:", "arn:a*:b:")] {
            assert!(!covers(broad, narrow), "{broad} {narrow}");
        }
    }
}

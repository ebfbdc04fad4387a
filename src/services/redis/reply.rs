//! What a command was answered with, read as what was expected.

use redis::Value;

use crate::base::{Class, Failure};

/// What a command was answered with.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply(pub(super) Value);

impl Reply {
    /// A whole number; 0 for what is not there.
    ///
    /// # Errors
    /// It is none.
    pub fn int(&self) -> Result<i64, Failure> {
        match &self.0 {
            Value::Int(n) => Ok(*n),
            Value::Nil => Ok(0),
            _ => self.text()?.unwrap_or_default().trim().parse().map_err(|_| self.odd("a number")),
        }
    }

    /// A number of things.
    ///
    /// # Errors
    /// It is none.
    pub fn count(&self) -> Result<u64, Failure> {
        u64::try_from(self.int()?).map_err(|_| self.odd("a count"))
    }

    /// Bytes; `None` for what is not there.
    ///
    /// # Errors
    /// It is something else.
    pub fn bytes(&self) -> Result<Option<&[u8]>, Failure> {
        match &self.0 {
            Value::Nil => Ok(None),
            Value::BulkString(bytes) => Ok(Some(bytes)),
            Value::SimpleString(text) => Ok(Some(text.as_bytes())),
            Value::Okay => Ok(Some(b"OK")),
            _ => Err(self.odd("text")),
        }
    }

    /// Text, with what is no UTF-8 replaced.
    ///
    /// # Errors
    /// It is something else.
    pub fn text(&self) -> Result<Option<String>, Failure> {
        Ok(self.bytes()?.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
    }

    /// Its elements; none for what is not there.
    ///
    /// # Errors
    /// It is no list.
    pub fn list(self) -> Result<Vec<Reply>, Failure> {
        match self.0 {
            Value::Array(list) | Value::Set(list) => Ok(list.into_iter().map(Reply).collect()),
            Value::Nil => Ok(Vec::new()),
            other => Err(Reply(other).odd("a list")),
        }
    }

    /// A page of a scan: the next cursor and the elements.
    ///
    /// # Errors
    /// It is no page.
    pub fn page(self) -> Result<(u64, Vec<Reply>), Failure> {
        let mut parts = self.list()?.into_iter();
        let (Some(cursor), Some(elements)) = (parts.next(), parts.next()) else {
            return Err(Reply(Value::Nil).odd("a page"));
        };
        let next = cursor.text()?.and_then(|text| text.parse().ok()).ok_or_else(|| cursor.odd("a cursor"))?;
        Ok((next, elements.list()?))
    }

    fn odd(&self, wanted: &str) -> Failure {
        let found = match &self.0 {
            Value::Nil => "nothing",
            Value::Int(_) => "a number",
            Value::Array(_) | Value::Set(_) => "a list",
            Value::BulkString(_) | Value::SimpleString(_) | Value::Okay => "text",
            _ => "something else",
        };
        Failure::new(Class::FailedNothingDone, format!("the server answered {found} instead of {wanted}"))
    }
}

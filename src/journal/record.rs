//! What a record's text is read as: the one place where the journal names what it carries.

use crate::run::Envelope;

/// Something that a record's JSON text can be read as. A text that is none is damage, so what a newer
/// version may have written has to be readable.
pub trait Record: Sized {
    /// Reads the text of one record.
    ///
    /// # Errors
    /// What is wrong with the text, in words.
    fn decode(json: &[u8]) -> Result<Self, String>;
}

/// An event of a newer version is kept as it is, and no damage.
impl Record for Envelope {
    fn decode(json: &[u8]) -> Result<Self, String> {
        Self::decode(json).map_err(|error| error.to_string())
    }
}

/// Any JSON, for whoever looks at records without knowing events.
impl Record for serde_json::Value {
    fn decode(json: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(json).map_err(|error| error.to_string())
    }
}

//! Figures with their limits.

use std::fmt;

/// One figure.
pub struct Figure {
    name: &'static str,
    value: Option<f64>,
    unit: &'static str,
    limit: Limit,
}

enum Limit {
    None,
    AtMost(f64),
    Exactly(f64),
}

impl Figure {
    /// Only told.
    pub fn told(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self { name, value: Some(value), unit, limit: Limit::None }
    }

    /// Allowed up to a limit.
    pub fn at_most(name: &'static str, value: f64, limit: f64, unit: &'static str) -> Self {
        Self { name, value: Some(value), unit, limit: Limit::AtMost(limit) }
    }

    /// Allowed at one value only.
    pub fn exactly(name: &'static str, value: f64, wanted: f64) -> Self {
        Self { name, value: Some(value), unit: "", limit: Limit::Exactly(wanted) }
    }

    /// Could not be had.
    pub fn missing(name: &'static str, why: &'static str) -> Self {
        Self { name, value: None, unit: why, limit: Limit::None }
    }

    /// Within its limit; a figure that could not be had is not held against us.
    pub fn good(&self) -> bool {
        match (&self.limit, self.value) {
            (Limit::AtMost(limit), Some(value)) => value <= *limit,
            (Limit::Exactly(wanted), Some(value)) => (value - wanted).abs() < 1e-9,
            (Limit::None, _) | (_, None) => true,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(value) = self.value else { return write!(f, "{:<38}      --  {}", self.name, self.unit) };
        write!(f, "{:<38} {value:>7.2} {}", self.name, self.unit)?;
        match self.limit {
            Limit::None => Ok(()),
            Limit::AtMost(limit) => write!(f, "  (at most {limit}) {}", if self.good() { "ok" } else { "MISSED" }),
            Limit::Exactly(wanted) => write!(f, "  (exactly {wanted}) {}", if self.good() { "ok" } else { "MISSED" }),
        }
    }
}

/// The middle one.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

//! The one integration binary: a second one would link everything again.

mod kinds;
mod moto;

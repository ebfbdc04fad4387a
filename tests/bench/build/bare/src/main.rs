//! Nothing: the price of the crates alone.

fn main() {}

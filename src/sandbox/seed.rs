//! The one source of chance: a small generator whose state is part of the world, so that the same
//! seed and the same requests give the same ids, weights and visitors.

use serde::{Deserialize, Serialize};

/// SplitMix64. Not for secrets.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Seed(u64);

const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const HEX: &[u8] = b"0123456789abcdef";

impl Seed {
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x6a09_e667_f3bc_c908)
    }

    /// A stream of its own for one purpose.
    pub fn fork(&self, salt: u64) -> Self {
        let mut fork = Self(self.0 ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        fork.next();
        fork
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to `n - 1`; 0 where `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 { 0 } else { self.next() % n }
    }

    fn text(&mut self, alphabet: &[u8], len: usize) -> String {
        (0..len)
            .map(|_| char::from(alphabet[usize::try_from(self.below(alphabet.len() as u64)).unwrap_or(0)]))
            .collect()
    }

    /// `len` hexadecimal digits, as in ECS task ids.
    pub fn hex(&mut self, len: usize) -> String {
        self.text(HEX, len)
    }

    /// `len` capital letters and digits, as in Route 53 change ids.
    pub fn upper(&mut self, len: usize) -> String {
        self.text(UPPER, len)
    }

    /// `len` digits, as in ECS deployment ids.
    pub fn digits(&mut self, len: usize) -> String {
        self.text(&HEX[..10], len)
    }

    /// A version 4 UUID, as in request ids and everything of Heroku.
    pub fn uuid(&mut self) -> String {
        let h = self.hex(32);
        format!("{}-{}-4{}-a{}-{}", &h[..8], &h[8..12], &h[13..16], &h[17..20], &h[20..])
    }
}

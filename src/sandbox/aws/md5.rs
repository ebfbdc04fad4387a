//! MD5, which SQS answers for every body (RFC 1321). It proves that a body arrived whole, and nothing else.

/// Left rotations of the four rounds.
const TURNS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// The digest in hexadecimal digits.
pub(super) fn hex(text: &[u8]) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "RFC 1321: the integer part")]
    let sine = |i: usize| (f64::from(i as u32 + 1).sin().abs() * 4_294_967_296.0) as u32;
    let mut state: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    let mut message = text.to_vec();
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    message.extend((text.len() as u64 * 8).to_le_bytes());
    for block in message.chunks_exact(64) {
        let word = |i: usize| u32::from_le_bytes([block[i * 4], block[i * 4 + 1], block[i * 4 + 2], block[i * 4 + 3]]);
        let [mut a, mut b, mut c, mut d] = state;
        for i in 0..64 {
            let (mix, from) = match i / 16 {
                0 => ((b & c) | (!b & d), i),
                1 => ((d & b) | (!d & c), (5 * i + 1) % 16),
                2 => (b ^ c ^ d, (3 * i + 5) % 16),
                _ => (c ^ (b | !d), (7 * i) % 16),
            };
            let sum = a.wrapping_add(mix).wrapping_add(sine(i)).wrapping_add(word(from));
            (a, d, c, b) = (d, c, b, b.wrapping_add(sum.rotate_left(TURNS[i / 16][i % 4])));
        }
        for (kept, new) in state.iter_mut().zip([a, b, c, d]) {
            *kept = kept.wrapping_add(new);
        }
    }
    state.iter().flat_map(|word| word.to_le_bytes()).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn as_the_rfc_has_it() {
        for (text, digest) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            (
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                "57edf4a22be3c955ac49da2e2107b67a",
            ),
        ] {
            assert_eq!(super::hex(text.as_bytes()), digest);
        }
        let lengths: std::collections::BTreeSet<String> = (50..70).map(|n| super::hex(&vec![b'x'; n])).collect();
        assert_eq!(lengths.len(), 20);
    }
}

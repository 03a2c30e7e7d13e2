//! A keyed 128-bit hash for topic names and filters that are too long for a key: SipHash-2-4 with
//! 128 bits of result (Aumasson, Bernstein: "SipHash: a fast short-input PRF"). Whoever does not
//! know the key cannot find two names with the same hash. Must not know what it hashes.

/// Bytes of the hash.
pub(crate) const LONG_NAME_LEN: usize = 16;

/// The hash of `name` under `secret`. Part of the disk format: never changes.
pub(crate) fn long_name(name: &str, secret: u128) -> [u8; LONG_NAME_LEN] {
    sip128(name.as_bytes(), secret as u64, (secret >> 64) as u64)
}

fn sip128(bytes: &[u8], key0: u64, key1: u64) -> [u8; LONG_NAME_LEN] {
    let mut v = [
        key0 ^ 0x736f_6d65_7073_6575,
        key1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
        key0 ^ 0x6c79_6765_6e65_7261,
        key1 ^ 0x7465_6462_7974_6573,
    ];
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        absorb(&mut v, u64::from_le_bytes(word.try_into().expect("8 bytes")));
    }
    let mut last = [0; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    last[7] = bytes.len() as u8;
    absorb(&mut v, u64::from_le_bytes(last));
    v[2] ^= 0xee;
    let low = finish(&mut v);
    v[1] ^= 0xdd;
    let high = finish(&mut v);
    let mut hash = [0; LONG_NAME_LEN];
    hash[..8].copy_from_slice(&low.to_le_bytes());
    hash[8..].copy_from_slice(&high.to_le_bytes());
    hash
}

fn absorb(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    round(v);
    round(v);
    v[0] ^= word;
}

fn finish(v: &mut [u64; 4]) -> u64 {
    for _ in 0..4 {
        round(v);
    }
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::sip128;

    /// The first and the ninth of the authors' test vectors: key 00..0f, inputs 00, 00 01, ...
    #[test]
    fn gives_the_authors_test_vectors() {
        let (key0, key1) = (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        let none = sip128(&[], key0, key1);
        assert_eq!(u128::from_be_bytes(none), 0xa381_7f04_ba25_a8e6_6df6_7214_c755_0293);
        let one = sip128(&[0], key0, key1);
        assert_eq!(u128::from_be_bytes(one), 0xda87_c1d8_6b99_af44_3476_5911_9b22_fc45);
    }
}

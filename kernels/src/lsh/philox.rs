//! Random numbers by counter: Philox4x32-10 (Salmon, Moraes, Dror & Shaw, "Parallel Random Numbers:
//! As Easy as 1, 2, 3", SC 2011).
//!
//! A number is a function of the seed and of what it is for, in integer arithmetic alone, so it is
//! the same on every machine and in every order of drawing.

/// The 128 bits that a key and a counter give.
pub(super) fn philox(key: u64, counter: [u32; 4]) -> [u32; 4] {
    let [mut first, mut second] = halves(key);
    let mut c = counter;
    for _ in 0..10 {
        let [high_0, low_0] = product(0xD251_1F53, c[0]);
        let [high_1, low_1] = product(0xCD9E_8D57, c[2]);
        c = [high_1 ^ c[1] ^ first, low_1, high_0 ^ c[3] ^ second, low_0];
        first = first.wrapping_add(0x9E37_79B9);
        second = second.wrapping_add(0xBB67_AE85);
    }
    c
}

/// The lower and the upper half.
fn halves(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}

/// The upper and the lower half of a product.
fn product(a: u32, b: u32) -> [u32; 2] {
    let [low, high] = halves(u64::from(a) * u64::from(b));
    [high, low]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_the_published_answers() {
        // kat_vectors of the authors' Random123.
        let zeros = [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8];
        assert_eq!(philox(0, [0; 4]), zeros);
        let ones = [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD];
        assert_eq!(philox(u64::MAX, [u32::MAX; 4]), ones);
        let pi = [0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344];
        let answer = [0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1];
        assert_eq!(philox(0x299F_31D0_A409_3822, pi), answer);
    }
}

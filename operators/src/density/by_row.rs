//! From the codes of each document to the codes of each row, which is how they are worked on.

/// Documents whose codes stay in the first cache while all rows pass over them.
const TILE: usize = 64;

/// For each of `rows` in turn, the codes of all documents: `of(i)` has the codes of the `i`th of
/// `documents`, one for each row that there is.
pub(super) fn by_row<'a>(
    documents: usize,
    rows: impl ExactSizeIterator<Item = usize> + Clone,
    of: impl Fn(usize) -> &'a [u16],
) -> Vec<u16> {
    let mut out = vec![0; documents * rows.len()];
    for from in (0..documents).step_by(TILE) {
        let to = (from + TILE).min(documents);
        let mut tile: [&[u16]; TILE] = [&[]; TILE];
        (from..to)
            .zip(&mut tile)
            .for_each(|(i, codes)| *codes = of(i));
        for (k, row) in rows.clone().enumerate() {
            let run = &mut out[k * documents + from..][..to - from];
            run.iter_mut()
                .zip(&tile)
                .for_each(|(code, codes)| *code = codes[row]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::by_row;

    #[test]
    fn every_code_finds_its_row() {
        let codes: Vec<u16> = (0..300).collect();
        let of = |i: usize| &codes[i * 3..][..3];
        let all = by_row(100, 0..3, of);
        assert!((0..300).all(|i| all[i] == (i % 100 * 3 + i / 100) as u16));
        assert_eq!(by_row(100, (1..3).step_by(2), of), all[100..200]);
        assert_eq!(by_row(0, 0..3, of), []);
        assert_eq!(by_row(100, 0..0, of), []);
    }
}

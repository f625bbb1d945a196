//! Handing out the wanted records of a frame, for the store's own fetcher and the mirror's.

use super::codec::Body;
use crate::log::{Position, Record};

/// Hands out the wanted ones of a frame's records, until one is not there; how many were, also
/// where the bytes make no sense.
pub fn pick<'a>(
    records: impl Iterator<Item = std::result::Result<(u64, Body<'a>), &'static str>>,
    wanted: &[Position],
    each: &mut dyn FnMut(Position, Record),
) -> std::result::Result<usize, (usize, &'static str)> {
    let mut served = 0;
    for item in records {
        let Some(position) = wanted.get(served) else {
            break;
        };
        let (offset, body) = item.map_err(|reason| (served, reason))?;
        if offset > position.offset() {
            break;
        }
        if offset == position.offset() {
            let record = body.decode().ok_or((served, "a record makes no sense"))?;
            let same = wanted[served..]
                .iter()
                .take_while(|p| p.offset() == offset)
                .count();
            wanted[served..][..same]
                .iter()
                .for_each(|p| each(*p, record.clone()));
            served += same;
        }
    }
    Ok(served)
}

//! Dense numbers for group names, in order of first sight.

use hashbrown::HashMap;

#[derive(Default)]
pub(super) struct Numbers {
    of: HashMap<u64, usize>,
    /// The last answer: neighbours in a stream are often of one group.
    recent: Option<(u64, usize)>,
}

impl Numbers {
    /// The name's number; of a name not seen before, how many names were seen before it.
    #[inline]
    pub(super) fn of(&mut self, name: u64) -> usize {
        if let Some((recent, number)) = self.recent
            && recent == name
        {
            return number;
        }
        let next = self.of.len();
        let number = *self.of.entry(name).or_insert(next);
        self.recent = Some((name, number));
        number
    }

    pub(super) fn bytes(&self) -> usize {
        self.of.allocation_size()
    }
}

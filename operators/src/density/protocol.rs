//! A worker's two halves, and the letters between them: no dataflow here.
//!
//! Letters are counted, not awaited by frontier. In each step every worker sends one to every
//! other, and nobody goes on before having all of them, so a worker is at most one step ahead.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::density::by_row::by_row;
use crate::density::counts::Row;
use crate::density::guard::is_wide;
use crate::density::levels::Levels;
use crate::density::members::{Batch, Members};
use crate::density::messages::{Body, Codes, Crowd, Mail, Moved};
use crate::density::{Drawn, Sampling, Summary};
use crate::select::Place;
use crate::{Change, DocumentHash, Record, Usage};

/// Documents whose codes go to the counters in one letter.
const LETTER: usize = 4096;

pub(super) struct Worker<R, C> {
    members: Members<R, C>,
    /// The rows that are counted here: every `peers`th.
    rows: Vec<Row>,
    levels: Rc<Levels>,
    index: u32,
    peers: u32,
    /// Members that have sent all codes of this epoch, and how many documents they have.
    counted: u32,
    crowd: Crowd,
    effective_cells_milli: u64,
    /// Counters that have told their levels.
    told: u32,
    moved: Vec<Moved>,
    /// The guard is too wide: all workers know it by the same letter.
    is_wide: bool,
    /// Members that have sent their documents by key, and all of these together.
    sorted: u32,
    histogram: Vec<u64>,
    cut: Option<Place>,
    outbox: VecDeque<Mail>,
    /// Letters of the selection on their way to the outbox.
    letters: VecDeque<(u32, crate::select::messages::Body)>,
}

impl<R: Record, C> Worker<R, C> {
    pub(super) fn new(sampling: Sampling, codes: C, index: u32, peers: u32) -> Self {
        let levels = Rc::new(sampling.sketch.levels());
        let rows = (0..sampling.sketch.rows).filter(|row| u32::from(*row) % peers == index);
        let cells = sampling.sketch.cells as usize;
        Worker {
            members: Members::new(sampling, Rc::clone(&levels), codes, [index, peers]),
            rows: rows.map(|row| Row::new(row, cells)).collect(),
            levels,
            index,
            peers,
            counted: 0,
            crowd: Crowd::default(),
            effective_cells_milli: 0,
            told: 0,
            moved: Vec::new(),
            is_wide: false,
            sorted: 0,
            histogram: Vec::new(),
            cut: None,
            outbox: VecDeque::new(),
            letters: VecDeque::new(),
        }
    }

    /// Takes in changes of the live documents of the current epoch.
    pub(super) fn apply_live<L>(&mut self, changes: &[Change<L>])
    where
        C: Fn(&L, DocumentHash, &mut [u16]),
    {
        // In parts, so that no letter is long.
        for changes in changes.chunks(LETTER) {
            self.members.apply_live(changes);
            self.send_codes(LETTER);
        }
    }

    /// Takes in changes of the documents that may be drawn in the current epoch.
    pub(super) fn apply_survivors(&mut self, changes: &[Change<R>]) {
        for changes in changes.chunks(LETTER) {
            self.members.apply_survivors(changes);
            self.send_codes(LETTER);
        }
    }

    pub(super) fn is_changed(&self) -> bool {
        self.members.is_changed()
    }

    /// All changes of the epoch are here: tells the counters.
    pub(super) fn close(&mut self) {
        self.send_codes(0);
        self.broadcast(&Body::Counted(self.members.crowd()));
    }

    /// Sends what is to be counted, once there are so many documents of it.
    fn send_codes(&mut self, documents: usize) {
        let Some(batch) = self.members.batch(documents) else {
            return;
        };
        for to in 0..self.peers {
            let codes = self.part(&batch, to);
            if to == self.index {
                // Not through the outbox: a replay would fill it with all codes there are.
                self.count(&codes);
            } else {
                self.send(to, Body::Codes(codes));
            }
        }
    }

    /// The codes of one counter's rows, row by row.
    fn part(&self, batch: &Batch, counter: u32) -> Codes {
        let rows = self.members.rows();
        let part = |codes: &[u16]| {
            let own = (counter as usize..rows).step_by(self.peers as usize);
            by_row(codes.len() / rows, own, |i| &codes[i * rows..][..rows])
        };
        Codes {
            added: part(&batch.added),
            removed: part(&batch.removed),
        }
    }

    fn count(&mut self, Codes { added, removed }: &Codes) {
        let rows = self.rows.len().max(1);
        let (more, fewer) = (added.len() / rows, removed.len() / rows);
        for (i, row) in self.rows.iter_mut().enumerate() {
            row.add(&self.levels, &added[i * more..][..more]);
            row.remove(&self.levels, &removed[i * fewer..][..fewer]);
        }
    }

    pub(super) fn receive(&mut self, mail: Mail) {
        match mail.body {
            Body::Codes(codes) => self.count(&codes),
            Body::Counted(crowd) => self.hear_counted(crowd),
            Body::Levels(moved, crowd) => self.hear_levels(moved, crowd),
            Body::Select(body) => {
                self.members.band.receive(mail.from, body);
                self.follow_selection();
            }
            Body::Histogram(histogram) => self.hear_histogram(&histogram),
        }
    }

    fn hear_counted(&mut self, crowd: Crowd) {
        self.counted += 1;
        self.crowd.survivors += crowd.survivors;
        self.crowd.inside += crowd.inside;
        if self.counted == self.peers {
            self.counted = 0;
            let mut moved = Vec::new();
            for row in &mut self.rows {
                row.moves(&self.levels, &mut moved);
            }
            // Now: the next epoch's codes may be here before this one ends.
            self.effective_cells_milli = self.rows.iter().map(Row::effective_cells_milli).sum();
            let crowd = std::mem::take(&mut self.crowd);
            self.broadcast(&Body::Levels(moved, crowd));
        }
    }

    fn hear_levels(&mut self, moved: Vec<Moved>, crowd: Crowd) {
        self.told += 1;
        self.moved.extend(moved);
        // Every counter says the same.
        self.is_wide = is_wide(crowd.inside, crowd.survivors);
        if self.told == self.peers {
            self.told = 0;
            let mut moved = std::mem::take(&mut self.moved);
            // Each counter's rows ascend; lists are sorted up to some row, and want all to.
            moved.sort_by_key(|moved| moved.row);
            self.members.settle(&moved);
            self.select();
        }
    }

    /// Looks for the cut, with the guard where it is.
    fn select(&mut self) {
        self.members.band.close();
        self.follow_selection();
    }

    /// Sends the selection's letters; once it is settled, puts the guard anew or has the cut.
    fn follow_selection(&mut self) {
        self.members.band.letters(&mut self.letters);
        while let Some((to, body)) = self.letters.pop_front() {
            self.send(to, Body::Select(body));
        }
        if self.members.band.is_settled() {
            self.members.take_cut();
            let cut = self.members.band.cut();
            if cut.is_none() || self.is_wide {
                self.is_wide = false;
                let histogram = self.members.by_key();
                self.broadcast(&Body::Histogram(histogram));
            } else {
                self.cut = cut;
            }
        }
    }

    fn hear_histogram(&mut self, bins: &[u32]) {
        self.sorted += 1;
        self.histogram.resize(bins.len(), 0);
        for (sum, &documents) in self.histogram.iter_mut().zip(bins) {
            *sum += u64::from(documents);
        }
        if self.sorted == self.peers {
            self.sorted = 0;
            self.members.reguard(&self.histogram);
            self.histogram.clear();
            self.select();
        }
    }

    fn broadcast(&mut self, body: &Body) {
        for to in 0..self.peers {
            self.send(to, body.clone());
        }
    }

    fn send(&mut self, to: u32, body: Body) {
        let from = self.index;
        self.outbox.push_back(Mail { to, from, body });
    }

    /// The next letter to deliver.
    pub(super) fn letter(&mut self) -> Option<Mail> {
        self.outbox.pop_front()
    }

    /// Whether this epoch's cut is known.
    pub(super) fn is_settled(&self) -> bool {
        self.cut.is_some()
    }

    /// Ends a settled epoch: gives the changes of the kept set; this worker's part of the summary.
    pub(super) fn finish(&mut self, give: impl FnMut(Change<Drawn<R>>)) -> Summary {
        let cut = self
            .cut
            .take()
            .expect("an epoch ends when its cut is known");
        self.members.finish(cut, give);
        let members = &self.members;
        let last = members
            .histogram
            .iter()
            .rposition(|documents| *documents > 0);
        Summary {
            counted: members.counted,
            survivors: members.survivors,
            kept: members.kept,
            histogram: members.histogram[..last.map_or(0, |last| last + 1)].to_vec(),
            effective_cells_milli: self.effective_cells_milli,
            sketch_bytes: self.rows.iter().map(|row| row.bytes() as u64).sum(),
            touches: members.touches(),
            cut: Some(cut).filter(|cut| *cut != Place::MAX),
        }
    }
}

impl<R: Record, C> Usage for Worker<R, C> {
    fn live(&self) -> usize {
        self.members.counted as usize
    }

    fn bytes(&self) -> usize {
        self.members.bytes() + self.rows.iter().map(Row::bytes).sum::<usize>()
    }
}

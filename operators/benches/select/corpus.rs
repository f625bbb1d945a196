//! An invented corpus that changes all the time; 8 bytes a live document.

use riffle_operators::{DocumentHash, Upsert, View, Weights, draw};
use serde::{Deserialize, Serialize};

use crate::Run;

/// What is kept of a document: 24 bytes, as the engine does.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Facts {
    pub position: u64,
    pub key: i64,
    pub tokens: u32,
    pub group: u32,
}

pub fn by_key(facts: &Facts, _: DocumentHash) -> View {
    View {
        group: facts.group.into(),
        key: facts.key,
        mass: 1,
    }
}

pub fn by_draw(facts: &Facts, id: DocumentHash) -> View {
    View {
        group: facts.group.into(),
        key: draw(1, 1, id) as i64,
        mass: 1,
    }
}

/// One worker's share of the corpus.
pub struct Corpus {
    documents: Vec<u64>,
    next: u64,
    made: u64,
    drawn: u64,
    /// Documents that come while the mean of the keys moves by 0.4 standard deviations.
    live: u64,
    /// The share of documents in this or an earlier group, by group; few groups have most.
    shares: Vec<f64>,
}

impl Corpus {
    pub fn new(worker: u64, run: Run) -> Self {
        let mut sum = 0.0;
        let mut shares: Vec<f64> = Vec::new();
        for rank in 1..=run.groups {
            sum += 1.0 / rank as f64;
            shares.push(sum);
        }
        shares.iter_mut().for_each(|share| *share /= sum);
        let first = worker << 40;
        let live = run.live / run.workers;
        Corpus {
            documents: Vec::new(),
            next: first,
            made: 0,
            drawn: first,
            live,
            shares,
        }
    }

    pub fn live(&self) -> usize {
        self.documents.len()
    }

    /// A document that was not there before.
    pub fn new_document(&mut self) -> Upsert<Facts> {
        self.next += 1;
        self.documents.push(self.next);
        self.version(self.next)
    }

    pub fn upsert(&mut self) -> Upsert<Facts> {
        let chance = self.unit();
        let at = (self.unit() * self.documents.len() as f64) as usize;
        if chance < 0.05 {
            Upsert {
                id: id(self.documents.swap_remove(at)),
                record: None,
            }
        } else if chance < 0.15 {
            self.version(self.documents[at])
        } else {
            self.new_document()
        }
    }

    fn version(&mut self, document: u64) -> Upsert<Facts> {
        self.made += 1;
        let mean = 3.0 + 0.2 * self.made as f64 / self.live as f64;
        let group = if self.shares.len() == 1 {
            0
        } else {
            self.group(document)
        };
        let facts = Facts {
            position: self.made,
            key: ((mean + 0.5 * self.normal()) * f64::from(1 << 20)) as i64,
            tokens: 1 + (self.unit() * 2000.0) as u32,
            group,
        };
        Upsert {
            id: id(document),
            record: Some(facts),
        }
    }

    /// Every group's share of the corpus, times a factor between ½ and 2.
    pub fn mixture(&mut self) -> Weights {
        let mut before = 0.0;
        let mut weights = Vec::new();
        for (group, share) in (0..).zip(self.shares.clone()) {
            let factor = (2.0 * self.unit() - 1.0).exp2();
            weights.push((group, ((share - before) * factor * 1e9) as u32));
            before = share;
        }
        Weights::new(weights)
    }

    fn group(&self, document: u64) -> u32 {
        let unit = fraction(draw(3, document, DocumentHash::default()));
        self.shares.partition_point(|share| *share < unit) as u32
    }

    fn unit(&mut self) -> f64 {
        self.drawn += 1;
        fraction(draw(4, self.drawn, DocumentHash::default()))
    }

    fn normal(&mut self) -> f64 {
        let (radius, angle) = (1.0 - self.unit(), self.unit());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }
}

fn fraction(number: u64) -> f64 {
    (number >> 11) as f64 / (1u64 << 53) as f64
}

fn id(document: u64) -> DocumentHash {
    let half = |purpose| draw(purpose, document, DocumentHash::default());
    DocumentHash::from_halves([half(5), half(6)])
}

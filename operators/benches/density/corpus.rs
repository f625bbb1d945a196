//! Documents with topics, whose codes are a function of their number.

use riffle_operators::{DocumentHash, Upsert, draw};
use serde::{Deserialize, Serialize};

use crate::Run;

/// What comes in: a loss for the stages before, and a code for each row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Coded {
    pub position: u64,
    pub codes: Vec<u16>,
}

/// One worker's share of the corpus.
pub struct Corpus {
    run: Run,
    /// Numbers of this worker's documents are this modulo the number of workers.
    index: u64,
    next: u64,
    pub live: Vec<u64>,
    drawn: u64,
}

const TOPICS: f64 = 20_000.0;

impl Corpus {
    pub fn new(index: u64, run: Run) -> Self {
        Corpus {
            run,
            index,
            next: 0,
            live: Vec::new(),
            drawn: 0,
        }
    }

    pub fn new_document(&mut self) -> Upsert<Coded> {
        let number = self.next * self.run.workers + self.index;
        self.next += 1;
        self.live.push(number);
        let record = Coded {
            position: number,
            codes: self.codes(number),
        };
        Upsert {
            id: id(number),
            record: Some(record),
        }
    }

    pub fn upsert(&mut self) -> Upsert<Coded> {
        self.drawn += 1;
        let random = draw(1, self.drawn, id(self.index));
        if random % 100 >= 5 {
            return self.new_document();
        }
        let at = (random >> 16) as usize % self.live.len();
        Upsert {
            id: id(self.live.swap_remove(at)),
            record: None,
        }
    }

    /// Topics as frequent as one over their rank; a share of the rows in the topic's own cell; some
    /// documents nearly copy one of a thousand, or one that came at about the same time.
    pub fn codes(&self, number: u64) -> Vec<u16> {
        let own = draw(2, number, DocumentHash::default());
        let base = match own % 50 {
            0 => draw(3, number / 500, DocumentHash::default()),
            1 => draw(4, own / 50 % 1000, DocumentHash::default()),
            _ => own,
        };
        let uniform = (draw(5, base, DocumentHash::default()) >> 11) as f64 / (1u64 << 53) as f64;
        let topic = TOPICS.powf(uniform) as u64;
        let code = |row: u64| {
            let copied = base == own || mix(own, row) % 100 < 95;
            let random = mix(if copied { base } else { own }, row + 1000);
            let of_topic = mix(topic, row + 2000);
            let share = 19_661 + (of_topic & 0xffff) / 5;
            let cell = if random & 0xffff < share {
                of_topic
            } else {
                random
            };
            (((cell >> 32) * self.run.cells) >> 32) as u16
        };
        (0..self.run.rows).map(code).collect()
    }
}

/// Cheaper than [`draw`]: there is one of these a code.
fn mix(a: u64, b: u64) -> u64 {
    let x = (a ^ b.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    let x = (x ^ (x >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    x ^ (x >> 32)
}

pub fn id(number: u64) -> DocumentHash {
    let none = DocumentHash::default();
    DocumentHash::from_halves([draw(6, number, none), draw(7, number, none)])
}

//! Documents on their way to the worker that holds them, where that may be in another process.
//!
//! The code of a document's groups is the process's own. Between processes it is replaced by what it
//! stands for, eight bytes for each field that stages group by, and on the other side by a code of
//! that process.

use std::collections::HashMap;

use operators::Upsert;
use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::Operator;

use super::document::Document;
use super::groups::{GroupCode, Groups};

/// A document between processes; its code means nothing.
#[derive(Clone, Serialize, Deserialize)]
struct Crossing<D> {
    document: D,
    /// By field.
    groups: Box<[u64]>,
}

/// The upserts, in order, each on the worker that holds its document.
pub fn cross<'s, D: Document>(
    scored: StreamVec<'s, u64, Upsert<D>>,
    groups: &Groups,
) -> StreamVec<'s, u64, Upsert<D>> {
    let departing = groups.of_fields();
    let crossing = each(scored, Pipeline, "Depart", move |upsert| {
        let carry = |mut document: D| {
            let groups = departing(document.facts().group);
            document.facts_mut().group = 0;
            Crossing { document, groups }
        };
        Upsert {
            id: upsert.id,
            record: upsert.record.map(carry),
        }
    });
    let by_id = Exchange::new(|upsert: &Upsert<Crossing<D>>| upsert.id.halves()[0]);
    let mut codes = Codes::new(groups);
    each(crossing, by_id, "Arrive", move |upsert| {
        let mut unpack = |Crossing {
                              mut document,
                              groups,
                          }: Crossing<D>| {
            document.facts_mut().group = codes.of(groups);
            document
        };
        Upsert {
            id: upsert.id,
            record: upsert.record.map(&mut unpack),
        }
    })
}

/// `into` of each, in order: timely's `map` may change the order of containers.
fn each<'s, A: Clone + 'static, B: Clone + 'static>(
    stream: StreamVec<'s, u64, A>,
    pact: impl timely::dataflow::channels::pact::ParallelizationContract<u64, Vec<A>>,
    name: &str,
    mut into: impl FnMut(A) -> B + 'static,
) -> StreamVec<'s, u64, B> {
    stream.unary(pact, name, move |_, _| {
        move |input, output| {
            input.for_each(|stamp, data| {
                let mut session = output.session(&stamp);
                session.give_iterator(data.drain(..).map(&mut into));
            });
        }
    })
}

/// The codes that this worker gives to what arrives.
struct Codes {
    groups: Groups,
    known: HashMap<Box<[u64]>, GroupCode>,
}

impl Codes {
    fn new(groups: &Groups) -> Self {
        Codes {
            groups: groups.clone(),
            known: HashMap::new(),
        }
    }

    fn of(&mut self, groups: Box<[u64]>) -> GroupCode {
        if let Some(code) = self.known.get(&groups) {
            return *code;
        }
        let code = self.groups.add(groups.clone());
        self.known.insert(groups, code);
        code
    }
}

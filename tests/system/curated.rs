//! What the curated set must be, and what the changes in its log make of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Documents by id.
pub type Documents = BTreeMap<String, Value>;

/// The documents that are live after these lines of a feed.
pub fn live<'a>(lines: impl IntoIterator<Item = &'a Value>) -> Documents {
    let mut live = Documents::new();
    for line in lines {
        let id = line["id"].as_str().unwrap().to_owned();
        match line["deleted"] == true {
            true => live.remove(&id),
            false => live.insert(id, line.clone()),
        };
    }
    live
}

/// Which part of the order by perplexity is kept.
#[derive(Clone, Copy)]
pub enum Keep {
    Low,
    Medium,
}

/// The part of the documents, `percent` of them rounded down, that is kept.
pub fn kept<'a>(
    documents: impl IntoIterator<Item = &'a Value>,
    keep: Keep,
    percent: usize,
) -> Documents {
    let mut order: Vec<&Value> = documents.into_iter().collect();
    let perplexity = |document: &Value| document["metadata"]["perplexity"].as_f64().unwrap();
    order.sort_by(|a, b| perplexity(a).total_cmp(&perplexity(b)));
    let count = order.len() * percent / 100;
    let start = match keep {
        Keep::Low => 0,
        Keep::Medium => (order.len() - count) / 2,
    };
    live(order.into_iter().skip(start).take(count))
}

/// The middle half by perplexity, as by default.
pub fn middle_half(documents: &Documents) -> Documents {
    kept(documents.values(), Keep::Medium, 50)
}

/// The set that changes make, and which ids they touched.
#[derive(Default)]
pub struct Changes {
    /// The set, each document as it was fed.
    pub set: Documents,
    /// Ids that came in or changed.
    pub upserts: BTreeSet<String>,
    /// Ids that left.
    pub tombstones: BTreeSet<String>,
}

impl Changes {
    /// Applies changes to `set`, in order; `None` withdraws.
    ///
    /// # Panics
    /// If a change changes nothing: then something was published twice.
    pub fn apply(
        set: Documents,
        changes: impl IntoIterator<Item = (String, Option<Value>)>,
    ) -> Self {
        let mut applied = Changes {
            set,
            ..Changes::default()
        };
        for (id, value) in changes {
            applied.change(id, value);
        }
        applied
    }

    fn change(&mut self, id: String, value: Option<Value>) {
        let Some(curated) = value else {
            assert!(
                self.set.remove(&id).is_some(),
                "{id} withdrawn when it was not there"
            );
            self.tombstones.insert(id);
            return;
        };
        let document = as_fed(&curated);
        let before = self.set.insert(id.clone(), document.clone());
        assert_ne!(before.as_ref(), Some(&document), "{id} published twice");
        self.upserts.insert(id);
    }
}

/// The document within a curated one, whose measures must fit it.
fn as_fed(curated: &Value) -> Value {
    let mut document = curated.clone();
    let measures = document
        .as_object_mut()
        .unwrap()
        .remove("riffle")
        .expect("measures");
    let measured = measures["perplexity"].as_f64().unwrap();
    let perplexity = document["metadata"]["perplexity"].as_f64().unwrap();
    assert!((measured / perplexity - 1.0).abs() < 1e-9, "{curated}");
    assert!(measures["epoch"].is_u64(), "{curated}");
    document
}

/// The changes in what `tail curated` printed.
pub fn of_tail(lines: &[Value]) -> impl Iterator<Item = (String, Option<Value>)> {
    lines.iter().map(|line| {
        let id = line["id"].as_str().unwrap().to_owned();
        (id, (line["deleted"] != true).then(|| line.clone()))
    })
}

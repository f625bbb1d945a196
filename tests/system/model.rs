//! The reference model behind the whole engine.

use std::time::Duration;

use riffle::log::local::{LocalOptions, LocalStore};
use riffle::log::{Offsets, Record, Store};
use serde_json::{Value, json};

use crate::site::{Site, model};

pub const TEXTS: [(&str, &str); 6] = [
    (
        "river",
        "The river rises in the hills to the north of the town and flows slowly to the sea. \
         In spring, when the snow melts, the water is high and the children watch it from the bridge.",
    ),
    (
        "recipe",
        "Mix the flour and the sugar in a large bowl, then add the eggs and the milk. Stir until \
         the batter is smooth, pour it into a pan, and bake it in the oven for thirty minutes.",
    ),
    (
        "german",
        "Am Morgen ging die Frau auf den Markt und kaufte Brot, Milch und ein paar Äpfel.",
    ),
    (
        "code",
        "fn area(width: u32, height: u32) -> u32 {\n    width * height\n}\n",
    ),
    (
        "noise",
        "§7qÞx~ zV}k1¤ ]pp0#w jJ¶hq^ 9x%Kz¿ wv{bB| t@Qq3 ±zzK`x mn$qP æ0xv; j?kKw¬z qQ<yt Ø4z",
    ),
    ("short", "Good morning."),
];

/// A site in which the texts have been scored, with this many threads.
fn scored(threads: usize) -> Site {
    let site = Site::with_model()
        .set(&format!("score.model={}", model().display()))
        .set("score.device=cpu")
        .set(&format!("score.threads={threads}"));
    let documents = TEXTS.map(|(id, text)| json!({"id": id, "text": text}));
    site.feed(&documents);
    let summary = site.run();
    assert_eq!(
        (&summary["live"], &summary["curated"]),
        (&6.into(), &3.into())
    );
    site
}

/// The records of the scored log, to the byte.
pub fn records(site: &Site) -> Vec<Record> {
    let store = LocalStore::open(&site.path("riffle-data"), LocalOptions::default()).unwrap();
    let ends = store.ends("scored").unwrap();
    let mut reader = store.reader("scored", &Offsets::start(1)).unwrap();
    let mut records = Vec::new();
    while !reader.offsets().reaches(&ends) {
        let received = reader.poll(Duration::from_millis(20)).unwrap();
        records.extend(received.into_iter().map(|it| it.record));
    }
    records
}

#[test]
fn fluent_text_surprises_the_model_less_and_scores_are_the_same_bytes_again() {
    let site = scored(1);
    let lines = site.tail("scored");
    let of = |id: &str| lines.iter().find(|line| line["id"] == id).unwrap();
    for line in &lines {
        let (tokens, mean) = (
            line["tokens"].as_u64().unwrap(),
            line["mean_nll_nats"].as_f64().unwrap(),
        );
        let perplexity = line["perplexity"].as_f64().unwrap();
        assert!(tokens >= 2 && line["truncated"] == false, "{line}");
        assert!(mean > 0.0 && mean < 12.0, "{line}");
        assert!((perplexity.ln() - mean).abs() < 1e-9, "{line}");
    }
    let perplexity = |id: &str| of(id)["perplexity"].as_f64().unwrap();
    for fluent in ["river", "recipe"] {
        assert!(perplexity(fluent) < 40.0, "{}", of(fluent));
        assert!(
            perplexity("noise") > 5.0 * perplexity(fluent),
            "{}",
            of("noise")
        );
    }
    assert!(of("river")["tokens"].as_u64() > of("short")["tokens"].as_u64());

    let again = records(&scored(2));
    assert_eq!(again.len(), TEXTS.len());
    assert!(again == records(&site), "other bytes than before");
    let curated: Vec<Value> = site.tail("curated");
    assert!(
        curated
            .iter()
            .all(|it| it["riffle"]["tokens"] == of(it["id"].as_str().unwrap())["tokens"])
    );
}

//! The text encoder behind the whole engine.

use kernels::{Batch, LoadOptions, Lsh, LshConfig, load_encoder};
use serde_json::{Value, json};

use crate::model::{TEXTS, records};
use crate::site::{Site, encoder, model};

const ROWS: usize = 32;
const CELLS: usize = 5_000;

/// The texts, one without a token of its own, and one longer than the encoder reads; perplexities come with them.
fn documents() -> Vec<Value> {
    let long = TEXTS[0].1.repeat(12);
    let texts = TEXTS.into_iter().chain([("blank", " "), ("long", &*long)]);
    let numbered = texts.zip(1u32..);
    numbered
        .map(|((id, text), n)| {
            json!({"id": id, "text": text, "metadata": {"perplexity": n, "length": 10 * n}})
        })
        .collect()
}

/// A site with the encoder, where documents say their perplexity.
fn site() -> Site {
    with_encoder(Site::new()).set("score.tokens.field=metadata.length")
}

fn with_encoder(site: Site) -> Site {
    site.set(&format!("score.encoder={}", encoder().display()))
        .set("sketch.rows=32")
        .set("sketch.cells=5000")
        .set("sketch.seed=9")
}

/// What the library gives for a text: its embedding and codes.
fn by_hand(text: &str) -> (Vec<f32>, Vec<u16>) {
    let mut loaded = load_encoder(&encoder(), &LoadOptions::default()).unwrap();
    let ids = loaded.tokenizer.encode(text).unwrap().ids;
    let batch: Batch = [ids.as_slice()].into_iter().collect();
    let embedding = loaded.encoder.embed(&batch).unwrap().values().to_vec();
    let config = LshConfig {
        rows: ROWS,
        concatenated: 4,
        bucket_width: 1.0,
        cells: CELLS,
        seed: 9,
    };
    let codes = Lsh::new(config, embedding.len()).unwrap().codes(&embedding);
    (embedding, codes)
}

fn numbers(value: &Value) -> Vec<u64> {
    let each = value.as_array().unwrap().iter();
    each.map(|number| number.as_u64().unwrap()).collect()
}

#[test]
fn documents_that_say_their_score_get_the_codes_that_the_library_gives() {
    let site = site();
    let fed = documents();
    site.feed(&fed);
    let summary = site.run();
    assert_eq!(
        (&summary["live"], &summary["dead_letters"]),
        (&8.into(), &0.into())
    );
    let lines = site.tail("scored");
    assert_eq!(lines.len(), fed.len());
    for (line, document) in lines.iter().zip(&fed) {
        assert_eq!(line["id"], document["id"]);
        assert_eq!(line["tokens"], document["metadata"]["length"], "{line}");
        let perplexity = line["perplexity"].as_f64().unwrap();
        let said = document["metadata"]["perplexity"].as_f64().unwrap();
        assert!((perplexity - said).abs() < 1e-9, "{line}");
        let scorer = line["scorer"].as_str().unwrap();
        assert!(
            scorer.starts_with("metadata.perplexity; all-MiniLM-L6-v2 cpu"),
            "{scorer}"
        );
        let (_, codes) = by_hand(document["text"].as_str().unwrap());
        assert!(codes.len() == ROWS && codes.iter().all(|code| usize::from(*code) < CELLS));
        assert_eq!(
            numbers(&line["codes"]),
            codes.into_iter().map(u64::from).collect::<Vec<_>>()
        );
        assert!(line.get("embedding").is_none(), "nobody asked for it");
    }
}

#[test]
fn codes_are_the_same_bytes_whatever_the_batch_and_the_threads() {
    let mut fed = documents();
    fed.push(json!({"id": "river", "deleted": true}));
    fed.push(json!({"id": "bad", "text": "No perplexity."}));
    fed.extend(documents());
    let scored = |settings: &[&str]| {
        let site = settings.iter().fold(site(), |site, it| site.set(it));
        site.feed(&fed);
        assert_eq!(site.run()["dead_letters"], 1);
        records(&site)
    };
    let together = scored(&[]);
    assert_eq!(together.len(), fed.len() - 1);
    let alone = [
        "score.batch_tokens_max=1",
        "score.max_tokens=1",
        "score.threads=1",
    ];
    assert!(scored(&alone) == together, "other bytes than before");
}

#[test]
fn both_models_measure_a_document_and_embeddings_come_when_asked_for() {
    let site = with_encoder(Site::with_model())
        .set(&format!("score.model={}", model().display()))
        .set("score.device=cpu")
        .set("score.embeddings=true");
    site.feed(&documents());
    let summary = site.run();
    assert_eq!(
        (&summary["live"], &summary["dead_letters"]),
        (&8.into(), &0.into())
    );
    for line in site.tail("scored") {
        let mean = line["mean_nll_nats"].as_f64().unwrap();
        assert!(mean > 0.0 && mean < 12.0, "{line}");
        let document = documents()
            .into_iter()
            .find(|it| it["id"] == line["id"])
            .unwrap();
        let (embedding, codes) = by_hand(document["text"].as_str().unwrap());
        let written = line["embedding"].as_array().unwrap().iter();
        let written: Vec<f32> = written.map(|x| x.as_f64().unwrap() as f32).collect();
        assert_eq!(written, embedding);
        assert_eq!(
            numbers(&line["codes"]),
            codes.into_iter().map(u64::from).collect::<Vec<_>>()
        );
        let scorer = line["scorer"].as_str().unwrap();
        assert_eq!(scorer.matches("; ").count(), 1, "{scorer}");
    }
}

#[test]
fn an_encoder_that_cannot_be_used_is_named_before_anything_is_read() {
    let config = std::fs::read_to_string(encoder().join("config.json")).unwrap();
    let other = config.replace("\"bert\"", "\"roberta\"");
    let huge = config.replace("\"num_hidden_layers\": 6", "\"num_hidden_layers\": 60000");
    assert!(other != config && huge != config);
    for (name, config, part) in [
        ("missing", None, "no directory with config.json"),
        ("other", Some(other), "roberta"),
        ("huge", Some(huge), "number of layers is 60000"),
        ("bare", Some(config), "tensor"),
    ] {
        let site = Site::new().set(&format!("score.encoder={name}"));
        site.feed(&[documents()[0].clone()]);
        let directory = site.path(name);
        if let Some(config) = config {
            std::fs::create_dir(&directory).unwrap();
            std::fs::write(directory.join("config.json"), config).unwrap();
        }
        let run = site.riffle(&["score", "--until-end"]);
        assert_eq!(run.code, Some(69), "{name}: {}", run.stderr);
        let last = run.stderr.lines().last().unwrap();
        assert!(
            last.starts_with("error: ") && last.contains(name),
            "{}",
            run.stderr
        );
        assert!(last.contains(part), "{last}");
        let check = site.riffle(&["check", "--offline"]);
        assert_eq!(check.code, Some(69), "{name}: {}", check.stdout);
        let failed = check.stdout.lines().find(|line| line.starts_with("FAIL"));
        assert!(failed.unwrap().contains(part), "{}", check.stdout);
        assert!(!site.path("riffle-data/scored").exists());
    }
}

#[test]
fn check_tells_what_the_encoder_is() {
    let check = site().riffle(&["check", "--offline"]);
    assert_eq!(check.code, Some(0), "{}", check.stdout);
    let line = check
        .stdout
        .lines()
        .find(|line| line.contains("encoder"))
        .unwrap();
    for part in [
        "384 dimensions",
        "up to 256 tokens",
        "mean of all tokens",
        "on cpu f32",
    ] {
        assert!(line.contains(part), "{line}");
    }
}

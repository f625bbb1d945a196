//! Documents, records, local logs and the configuration.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use riffle::config::{Sources, load};
use riffle::fuzzing;
use riffle::log::{Offsets, Record};
use riffle::records::{Codes, Document, Measures, Progress, Scored, field};

use crate::Target;
use crate::scratch::with_file;

pub const TARGETS: &[Target] = &[
    Target {
        name: "document",
        seeds: documents,
        run: document,
    },
    Target {
        name: "lines",
        seeds: files,
        run: |bytes| with_file("documents", bytes, fuzzing::lines),
    },
    Target {
        name: "scored",
        seeds: || vec![scored(&[]), scored(&[0, 1, 65_535])],
        run: read_scored,
    },
    Target {
        name: "progress",
        seeds: progress,
        run: fuzzing::progress,
    },
    Target {
        name: "frame",
        seeds: frames,
        run: frame,
    },
    Target {
        name: "journal",
        seeds: || vec![b"\x00\x05score\x02{}\x01\x06scored\x00\x01\x00\x64".to_vec()],
        run: fuzzing::journal,
    },
    Target {
        name: "index",
        seeds: || vec![vec![0; 8], (0..40).collect()],
        run: fuzzing::index,
    },
    Target {
        name: "snapshot",
        seeds: snapshots,
        run: |bytes| {
            with_file("snapshot", bytes, |path| {
                fuzzing::snapshot(path);
            })
        },
    },
    Target {
        name: "configuration",
        seeds: || vec![riffle::config::DEFAULT_TOML.into(), CONFIGURATION.into()],
        run: configuration,
    },
];

/// The largest document that is taken.
const DOCUMENT_BYTES_MAX: usize = 1 << 20;

const CONFIGURATION: &str = r#"
[score]
encoder = "models/encoder"
perplexity.field = "metadata.perplexity"
tokens.field = "metadata.tokens"
[sketch]
rows = 64
bucket_width = 0.5
[skills]
field = "metadata.skill"
[mixture]
skills = ["one", "two"]
[[select]]
by = "perplexity"
keep = "low"
rate = 0.25
group_by = "metadata.lang"
[[select]]
by = "density"
epsilon = 0.5
[[select]]
by = "skills"
budget = 1_000
[kafka]
"bootstrap.servers" = "localhost:9092"
"sasl.password" = { env = "PASSWORD" }
"#;

fn documents() -> Vec<Vec<u8>> {
    let texts = [
        r#"{"id": "a", "text": "Some text.", "source": "web", "metadata": {"lang": "en", "n": [1, -2e9, null]}}"#,
        r#"{"id": "\u0061\ud83d\ude00", "text": "", "added": "2026-01-01", "riffle": {"perplexity": 3.5}, "created": null}"#,
        r#"{"id": "b", "deleted": true}"#,
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn document(bytes: &[u8]) {
    if let Ok(document) = Document::parse(bytes, DOCUMENT_BYTES_MAX) {
        let bare = document.without_measures(bytes);
        let again = Document::parse(&bare, DOCUMENT_BYTES_MAX);
        assert!(again.is_ok(), "a document without measures is a document");
    }
    for path in [
        "source",
        "metadata.lang",
        "metadata.n.x",
        "riffle.perplexity",
    ] {
        let _ = field(bytes, path);
    }
}

/// Lines of documents, plain, as gzip in two members, and as zstd in two frames.
fn files() -> Vec<Vec<u8>> {
    let plain = documents().join(&b"\r\n"[..]);
    let gzip = || {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
        encoder.write_all(&plain).expect("a vector takes all");
        encoder.finish().expect("a vector takes all")
    };
    let zstd = || zstd::encode_all(&plain[..], 3).expect("a vector takes all");
    let long = vec![b'x'; 100_000];
    let bomb = zstd::encode_all(&vec![b' '; 8 << 20][..], 3).expect("a vector takes all");
    vec![
        plain.clone(),
        [gzip(), gzip()].concat(),
        [zstd(), zstd()].concat(),
        long,
        bomb,
    ]
}

fn scored(codes: &[u16]) -> Vec<u8> {
    let bytes = Codes::bytes_of(codes);
    let scored = Scored {
        mean_nll_nats: 2.5,
        tokens: 100,
        truncated: true,
        scorer: "a model",
        sketch: 7,
        codes: Codes::of_bytes(&bytes).expect("whole codes"),
        embedding: vec![0.25, -1.0],
        quality: Some(0.5),
        skill: Some("read"),
        document: br#"{"id": "a", "text": "Some text."}"#,
    };
    scored.encode()
}

fn read_scored(bytes: &[u8]) {
    let Ok(scored) = Scored::decode(bytes) else {
        return;
    };
    assert_eq!(scored.codes.iter().count(), scored.codes.len());
    // The document was checked when it was scored; from a damaged record it may be anything.
    if Document::parse(scored.document, DOCUMENT_BYTES_MAX).is_ok() {
        let curated = Measures::new(&scored, 1).add_to(scored.document);
        let whole = Document::parse(&curated, usize::MAX);
        assert!(whole.is_ok(), "a curated document is a document");
    }
}

fn progress() -> Vec<Vec<u8>> {
    let rules = [
        r#"[{"by":"perplexity","keep":"medium","rate":0.5}]"#,
        r#"{"sketch":"0123456789abcdef","skills":{"field":"a.b","mixture":"x"},"stages":[{"by":"density"}]}"#,
    ];
    let record = |rules: &&str| Progress::new(7, Offsets(vec![1, 2]), (*rules).to_owned());
    rules.iter().map(|rules| record(rules).encode()).collect()
}

fn frames() -> Vec<Vec<u8>> {
    let record = |key: Option<&[u8]>, value: Option<&[u8]>| Record {
        key: key.map(<[u8]>::to_vec),
        value: value.map(<[u8]>::to_vec),
        headers: vec![("reason".to_owned(), b"none".to_vec())],
    };
    let records = [
        record(Some(b"a"), Some(&[b'v'; 200])),
        record(None, Some(b"w")),
        record(Some(b"b"), None),
    ];
    let payload = fuzzing::payload(&records);
    let (sizes, raw) = payload.split_at(12);
    let compressed = zstd::bulk::compress(raw, 1).expect("a payload compresses");
    vec![payload.clone(), [sizes, &compressed].concat()]
}

fn snapshots() -> Vec<Vec<u8>> {
    let mut seed = Vec::new();
    with_file("snapshot", &[], |path| {
        fuzzing::write_snapshot(path);
        seed = std::fs::read(path).expect("a scratch file");
    });
    vec![seed]
}

fn frame(bytes: &[u8]) {
    with_file("frame", bytes, |path| {
        let mut options = File::options();
        let scratch = options.read(true).write(true).open(path);
        fuzzing::frame(bytes, &scratch.expect("a scratch file"));
    });
    if let Ok(text) = std::str::from_utf8(bytes) {
        fuzzing::layout(text);
    }
}

fn configuration(bytes: &[u8]) {
    with_file("riffle.toml", bytes, |path| {
        let _ = load(&sources(path));
    });
}

/// The file, and the variable that the seed takes its password from.
fn sources(path: &Path) -> Sources {
    Sources {
        file: Some(path.to_owned()),
        env: vec![("PASSWORD".into(), "none".into())],
        set: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A seed that is refused at its first byte would leave all behind it untried.
    #[test]
    fn seeds_are_sound() {
        assert!(Document::parse(&documents()[0], DOCUMENT_BYTES_MAX).is_ok());
        assert!(Scored::decode(&scored(&[1, 2])).is_ok());
        assert!(
            progress()
                .iter()
                .all(|bytes| Progress::decode(bytes).is_ok())
        );
        with_file("snapshot", &snapshots()[0], |path| {
            assert_eq!(fuzzing::snapshot(path), Some(3));
        });
        let seeds = [riffle::config::DEFAULT_TOML, CONFIGURATION];
        for seed in seeds {
            with_file("riffle.toml", seed.as_bytes(), |path| {
                assert!(
                    load(&sources(path))
                        .map_err(|error| panic!("{error}"))
                        .is_ok()
                );
            });
        }
    }
}

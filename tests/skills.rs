//! Skills of real text, by the real encoder: what is found is what a person would part.

#![allow(clippy::unwrap_used)] // a test that unwraps has failed

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kernels::{LoadOptions, LoadedEncoder, load_encoder};
use riffle::skills::{Centroids, CentroidsError, EncoderIdentity};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The encoder's directory. A missing one is a failure and no skipped test.
fn encoder_path() -> PathBuf {
    let path = match std::env::var_os("RIFFLE_TEST_ENCODER") {
        Some(path) => path.into(),
        None => root().join("models/all-MiniLM-L6-v2"),
    };
    assert!(
        path.exists(),
        "no encoder at {}: run `make models`",
        path.display()
    );
    path
}

/// Pieces of this project's files, each with its kind: legal text, prose on the engine, source.
fn pieces() -> Vec<(String, String)> {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let mut pieces = Vec::new();
    let mut add = |kind: &str, texts: Vec<String>| {
        let texts = texts.into_iter().enumerate();
        pieces.extend(texts.map(|(number, text)| (format!("{kind}/{number}"), text)));
    };
    let paragraphs = |text: String| -> Vec<String> {
        let long = text
            .split("\n\n")
            .filter(|it| it.len() > 200 && !it.contains("```"));
        long.map(str::to_owned).collect()
    };
    add("legal", paragraphs(read("LICENSE")));
    add(
        "prose",
        [
            paragraphs(read("ARCHITECTURE.md")),
            paragraphs(read("README.md")),
        ]
        .concat(),
    );
    let mut code = Vec::new();
    for path in [
        "src/log/local/frame.rs",
        "src/tail/json.rs",
        "src/feed/lines.rs",
    ] {
        let lines: Vec<String> = read(path).lines().map(str::to_owned).collect();
        code.extend(lines.chunks(25).map(|chunk| chunk.join("\n")));
    }
    add("code", code);
    pieces
}

fn fit(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_riffle"));
    command
        .current_dir(folder)
        .args(["skills", "fit", "--encoder"])
        .arg(encoder_path());
    command.args(arguments).output().unwrap()
}

fn loaded() -> (LoadedEncoder, EncoderIdentity) {
    let loaded = load_encoder(&encoder_path(), &LoadOptions::default()).unwrap();
    let identity = EncoderIdentity::of(loaded.encoder.describe(), &loaded.config);
    (loaded, identity)
}

/// The skill of a text, as score finds it.
fn skill<'c>(centroids: &'c Centroids, loaded: &mut LoadedEncoder, text: &str) -> &'c str {
    let tokens = loaded.tokenizer.encode(text).unwrap().ids;
    let batch = [&tokens[..]].into_iter().collect();
    centroids.nearest(loaded.encoder.embed(&batch).unwrap().values())
}

#[test]
fn legal_text_prose_and_source_become_three_skills() {
    let folder = tempfile::tempdir().unwrap();
    let pieces = pieces();
    assert!(pieces.len() > 60, "{}", pieces.len());
    let line =
        |(id, text): &(String, String)| serde_json::json!({"id": id, "text": text}).to_string();
    let mut lines: Vec<String> = pieces.iter().map(line).collect();
    std::fs::write(folder.path().join("a.jsonl"), lines.join("\n")).unwrap();
    lines.reverse();
    lines.push("no document".into());
    std::fs::write(folder.path().join("b.jsonl"), lines.join("\n")).unwrap();

    let first = fit(folder.path(), &["-k", "3", "a.jsonl"]);
    let stdout = String::from_utf8(first.stdout).unwrap();
    assert!(
        first.status.success(),
        "{}",
        String::from_utf8_lossy(&first.stderr)
    );
    assert!(
        stdout.ends_with("3 skills written to skills.json\n"),
        "{stdout}"
    );
    let second = fit(
        folder.path(),
        &["-k", "3", "--out", "again.json", "b.jsonl"],
    );
    assert!(second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("1 lines are no documents"));
    let bytes = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert_eq!(
        bytes("skills.json"),
        bytes("again.json"),
        "the order of the input shows"
    );

    let (mut loaded, identity) = loaded();
    let path = folder.path().join("skills.json");
    let centroids = Centroids::open_for(&path, &identity).unwrap();
    let mut counts: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for (id, text) in &pieces {
        let kind = id.split('/').next().unwrap();
        let skill = skill(&centroids, &mut loaded, text);
        *counts.entry(kind).or_default().entry(skill).or_default() += 1;
    }
    println!("{counts:?}");
    let largest = |kind: &str| counts[kind].iter().max_by_key(|it| it.1).unwrap();
    let pure: usize = counts.keys().map(|kind| largest(kind).1).sum();
    assert!(pure * 10 >= pieces.len() * 9, "{counts:?}");
    let skills: std::collections::BTreeSet<&str> =
        counts.keys().map(|kind| *largest(kind).0).collect();
    assert_eq!(skills.len(), 3, "{counts:?}");
    let total: u64 = centroids.skills().iter().map(|it| it.documents).sum();
    assert_eq!(total as usize, pieces.len());

    // What was not in the sample goes where its like went.
    for (kind, text) in [
        (
            "legal",
            "The licensee shall indemnify the copyright holder against any claim, damages or \
             liability arising from the distribution of derivative works under this agreement.",
        ),
        (
            "code",
            "impl Iterator for Pairs {\n    type Item = (u8, u8);\n    fn next(&mut self) -> \
             Option<Self::Item> {\n        self.inner.next().map(|it| (it, it))\n    }\n}",
        ),
    ] {
        assert_eq!(
            skill(&centroids, &mut loaded, text),
            *largest(kind).0,
            "{kind}"
        );
    }
}

#[test]
fn differential_the_scored_log_gives_the_skills_that_its_documents_do() {
    let folder = tempfile::tempdir().unwrap();
    let encoder = encoder_path();
    let config = format!(
        "local.dir = \"data\"\nscore.perplexity.field = \"metadata.perplexity\"\n\
         score.encoder = \"{}\"\nscore.embeddings = true\nscore.device = \"cpu\"\n",
        encoder.display()
    );
    std::fs::write(folder.path().join("riffle.toml"), config).unwrap();
    let line = |(id, text): &(String, String), perplexity: Option<f64>| {
        let metadata = serde_json::json!({ "perplexity": perplexity });
        serde_json::json!({"id": id, "text": text, "metadata": metadata}).to_string()
    };
    let pieces = pieces();
    let last: Vec<String> = pieces.iter().map(|it| line(it, Some(9.0))).collect();
    // Versions and documents that are not live any more, and one that never was.
    let mut fed: Vec<String> = pieces[..5]
        .iter()
        .map(|(id, _)| line(&(id.clone(), "another text".into()), Some(2.0)))
        .collect();
    fed.push(line(&("gone".into(), "a text".into()), Some(2.0)));
    fed.push(line(&("unscored".into(), "a text".into()), None));
    fed.extend(last.iter().cloned());
    fed.push(r#"{"id": "gone", "deleted": true}"#.into());
    std::fs::write(folder.path().join("fed.jsonl"), fed.join("\n")).unwrap();
    std::fs::write(folder.path().join("last.jsonl"), last.join("\n")).unwrap();

    let riffle = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_riffle"));
        command
            .current_dir(folder.path())
            .args(["-c", "riffle.toml"]);
        let output = command.args(arguments).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        stderr
    };
    riffle(&["feed", "fed.jsonl"]);
    riffle(&["score", "--until-end"]);
    let fit = ["skills", "fit", "-k", "3", "--sample", "50", "--out"];
    riffle(&[&fit[..], &["files.json", "last.jsonl"]].concat());
    let told = riffle(&[&fit[..], &["scored.json", "--scored"]].concat());
    assert!(told.contains("drew 50"), "{told}");
    let bytes = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert!(bytes("files.json") == bytes("scored.json"), "other skills");

    // Without embeddings there is nothing to draw from, and the command says what to do.
    riffle(&[
        "--set",
        "score.embeddings=false",
        "--set",
        "scored.topic=bare",
        "score",
        "--until-end",
    ]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_riffle"));
    command
        .current_dir(folder.path())
        .args(["-c", "riffle.toml", "--set", "scored.topic=bare"]);
    let output = command
        .args(["skills", "fit", "-k", "3", "--scored"])
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("score.embeddings = true"), "{stderr}");
    assert!(
        stderr.contains("0 documents cannot have 3 skills"),
        "{stderr}"
    );
}

#[test]
fn centroids_of_another_encoder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (_, identity) = loaded();
    let path = folder.path().join("skills.json");
    let file = r#"{"version": 1, "encoder": {"name": "other", "parameters": 5, "dimensions": 2},
                   "skills": [{"name": "a", "centroid": [1, 0]}]}"#;
    std::fs::write(&path, file).unwrap();
    let error = Centroids::open_for(&path, &identity).unwrap_err();
    assert!(matches!(error, CentroidsError::Encoder { .. }));
    assert!(
        error.to_string().contains("all-MiniLM-L6-v2 (384 channels"),
        "{error}"
    );
}

#[test]
fn fewer_documents_than_skills_and_unreadable_files_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let documents = r#"{"id": "a", "text": "one"}
                       {"id": "b", "text": "two"}
                       {"id": "c", "text": "three"}
                       {"id": "c", "deleted": true}"#;
    std::fs::write(folder.path().join("few.jsonl"), documents).unwrap();
    let output = fit(folder.path(), &["-k", "3", "few.jsonl"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr.contains("2 documents cannot have 3 skills"),
        "{stderr}"
    );
    assert!(!folder.path().join("skills.json").exists());

    // What can be read is used, and the exit code tells that something could not.
    let output = fit(folder.path(), &["-k", "2", "few.jsonl", "missing.jsonl"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("missing.jsonl"), "{stderr}");
    assert_eq!(
        Centroids::open(&folder.path().join("skills.json"))
            .unwrap()
            .skills()
            .len(),
        2
    );
}

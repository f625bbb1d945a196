//! The whole engine on local logs: what `riffle feed` and `riffle run` do, without a model.
//!
//! ```text
//! cargo bench --bench run                       # 100,000 and 300,000 documents
//! cargo bench --bench run -- 1000000 3000000    # other sizes, ascending
//! cargo bench --bench run -- density 100000 1000000    # the phases with a stage by density alone
//! ```
//!
//! Documents are 1.5 KB of JSON whose text compresses like prose; one in 20 is a new version of an
//! earlier one. `metadata.perplexity` is lognormal and drifts slowly, so that both cuts of the
//! default rule move and documents are withdrawn and admitted late all the time. Logs are durable.
//! Every phase is a process of its own, as after a restart, so its peak memory is its own too:
//!
//! - `feed` reads a JSONL file, `run` scores and curates it; `score` and `curate` do so alone, with
//!   outputs of their own, for the share that each has of the processor's time;
//! - `curate_with_snapshots` is `curate` again, with snapshots as they are made by default, and
//!   `restart` starts from the last of them;
//! - `replay` is a restart of `curate` without snapshots: it reads the scored log again and publishes
//!   nothing;
//! - `read_back` is a restart under another rule: only the publishing of the difference is timed;
//! - `curate_two_workers` and `curate_two_processes` are `curate` on two threads, and on one of each
//!   of two processes; `density_two_processes` likewise;
//! - `codes` writes a scored log with codes of the default sketch, as an encoder would give them to
//!   documents with topics; `density` curates it by perplexity and then by density, on one worker
//!   and on two; `density_with_snapshots`, `density_restart` and `density_replay` are as without.
//!   The longest time between two commits is that of the phases that curate alone.
//!
//! The machine's other work shows in the rates, hardly in those per second of processor time. The
//! input is in the page cache: a cold disk adds its own.
#![allow(clippy::unwrap_used)] // a figure that cannot be had is a failure

#[path = "run/cluster.rs"]
mod cluster;
#[path = "run/codes.rs"]
mod codes;
#[path = "run/corpus.rs"]
mod corpus;
#[path = "run/phases.rs"]
mod phases;

use std::path::Path;
use std::process::{Command, Stdio};

use phases::{Measured, Phase};

/// Asks the bench itself for one phase.
const PHASE: &str = "--phase";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [marker, phase, dir, documents] = &arguments[..]
        && marker == PHASE
        && let Some(phase) = Phase::named(phase)
        && let Ok(documents) = documents.parse()
    {
        let measured = phase.run(Path::new(dir), documents);
        return println!("{}", serde_json::to_string(&measured).unwrap());
    }
    if let [marker, phase, dir, addresses] = &arguments[..]
        && marker == cluster::MEMBER
        && let Some(phase) = Phase::named(phase)
    {
        let measured = cluster::second(phase, Path::new(dir), addresses);
        return println!("{}", serde_json::to_string(&measured).unwrap());
    }
    let mut sizes: Vec<usize> = arguments.iter().filter_map(|a| a.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![100_000, 300_000];
    }
    if arguments.iter().all(|argument| argument != "density") {
        let runs: Vec<Measured> = sizes.iter().map(|size| engine_of_size(*size)).collect();
        growth("run", &runs);
    }
    let samples: Vec<Measured> = sizes.iter().map(|size| density_of_size(*size)).collect();
    growth("density", &samples);
}

/// Prints what the peak memory grew by from each size to the next, by live document.
fn growth(name: &str, runs: &[Measured]) {
    for pair in runs.windows(2) {
        let more = pair[1].live as f64 - pair[0].live as f64;
        let grown = pair[1].peak_bytes as f64 - pair[0].peak_bytes as f64;
        figure(
            &format!("{name}.growth_per_live_document.{}", pair[1].documents),
            grown / more,
            "B",
        );
    }
}

/// Prints the figures of the engine on a corpus of this size; what the whole run measured.
fn engine_of_size(documents: usize) -> Measured {
    let dir = tempfile::tempdir().unwrap();
    corpus::write(&dir.path().join(phases::INPUT), documents);
    let [_, run, score, curate, kept, ..] =
        Phase::ENGINE.map(|phase| measure(phase, dir.path(), documents));
    let of = |name: &str, value: f64, unit: &str| {
        figure(&format!("run.{name}.{documents}"), value, unit);
    };
    of("live", run.live as f64, "documents");
    of("admitted", run.admitted as f64, "documents");
    of("withdrawn", run.withdrawn as f64, "documents");
    let share = score.cpu_seconds / (score.cpu_seconds + curate.cpu_seconds);
    of("score_share_of_processor", share * 100.0, "%");
    of(
        "snapshots_share_of_processor",
        share_more(&curate, &kept),
        "%",
    );
    run
}

/// Prints the figures of sampling by density; what curating on one worker measured.
fn density_of_size(documents: usize) -> Measured {
    let dir = tempfile::tempdir().unwrap();
    let [_, density, _, kept, ..] =
        Phase::DENSITY.map(|phase| measure(phase, dir.path(), documents));
    let changes = density.admitted + density.withdrawn;
    figure(
        &format!("run.density.changes_published.{documents}"),
        changes as f64,
        "documents",
    );
    figure(
        &format!("run.density.snapshots_share_of_processor.{documents}"),
        share_more(&density, &kept),
        "%",
    );
    density
}

/// By how much more processor time the same took with snapshots.
fn share_more(without: &Measured, with: &Measured) -> f64 {
    (with.cpu_seconds / without.cpu_seconds - 1.0) * 100.0
}

fn measure(phase: Phase, dir: &Path, documents: usize) -> Measured {
    let measured = in_its_own_process(phase, dir, documents);
    report(phase, documents, &measured);
    measured
}

fn in_its_own_process(phase: Phase, dir: &Path, documents: usize) -> Measured {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([PHASE.as_ref(), phase.name().as_ref(), dir.as_os_str()])
        .arg(documents.to_string())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "{} failed", phase.name());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn report(phase: Phase, documents: usize, measured: &Measured) {
    let of = |name: &str, value: f64, unit: &str| {
        figure(
            &format!("run.{}.{name}.{documents}", phase.name()),
            value,
            unit,
        );
    };
    let items = measured.documents as f64;
    of(
        "documents_per_second",
        items / measured.seconds,
        "documents/s",
    );
    of(
        "documents_per_cpu_second",
        items / measured.cpu_seconds,
        "documents/s",
    );
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    of("peak_memory", mib(measured.peak_bytes), "MiB");
    of("time", measured.seconds * 1000.0, "ms");
    if measured.longest_s > 0.0 {
        of("longest_between_commits", measured.longest_s * 1000.0, "ms");
    }
    if measured.snapshot_bytes > 0 {
        let documents = measured.snapshot_documents as f64;
        of("snapshot_documents", documents, "documents");
        of(
            "snapshot_bytes_per_document",
            measured.snapshot_bytes as f64 / documents,
            "B",
        );
        of("tail", measured.tail as f64, "records");
    }
    if let Some((cpu_seconds, peak_bytes)) = measured.second {
        of(
            "documents_per_cpu_second_of_both",
            items / (measured.cpu_seconds + cpu_seconds),
            "documents/s",
        );
        of("peak_memory_of_the_second", mib(peak_bytes), "MiB");
    }
}

fn figure(name: &str, value: f64, unit: &str) {
    println!("figure\t{name}\t{value:.0}\t{unit}");
}

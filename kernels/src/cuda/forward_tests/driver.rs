//! The way from a driver to scores, on a machine without one: `kernels/emulator/driver` stands in
//! for libcuda, and does nothing before someone waits for it.
//!
//! A process has one driver for ever, so each machine is a process of its own: this test program,
//! started for one ignored test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::{Emulated, Family, Policy, SEPARATOR, Tiny, batch, documents, emulated, every, odd};
use crate::cuda::bert::tests as bert;
use crate::cuda::nvrtc::VARIABLE;
use crate::cuda::{inspect, inspect_encoder, load_encoder, open};
use crate::{LanguageModel, LoadOptions};

/// What the machine is, for the driver to read.
const MACHINE: &str = "RIFFLE_TEST_DRIVER";
/// The driver to load.
const LIBRARY: &str = "RIFFLE_TEST_DRIVER_LIBRARY";
/// What to do: `inspect`, `inspect-encoder`, `score` or `encode`.
const TASK: &str = "RIFFLE_TEST_DRIVER_TASK";
/// Begins the line of output that is the answer.
const ANSWER: &str = "answer: ";

/// Lengths of documents that make several groups of at most [`ROWS`] rows.
const LENGTHS: [usize; 9] = [70, 1, 129, 33, 0, 130, 12, 90, 64];
const ROWS: usize = 150;

/// The driver, compiled once.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("emulator/driver/cuda.cpp");
        let folder = std::env::temp_dir().join(format!("riffle-driver-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let library = folder.join("libcuda.so");
        let compiled = Command::new(std::env::var_os("CXX").unwrap_or_else(|| "g++".into()))
            .args(["-std=c++17", "-shared", "-fPIC", "-Wl,-soname,libcuda.so"])
            .args([&source, Path::new("-o"), &library])
            .output()
            .expect("g++ starts");
        let complaint = String::from_utf8_lossy(&compiled.stderr);
        assert!(compiled.status.success(), "{complaint}");
        library
    })
}

/// What a task answers on a machine.
fn answer(machine: &str, task: &str, nvrtc: &Path) -> String {
    let cache = tempfile::tempdir().unwrap();
    let name = "cuda::forward_tests::driver::in_a_process_with_a_driver";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env(LIBRARY, library())
        .env(MACHINE, machine)
        .env(TASK, task)
        .env(VARIABLE, nvrtc)
        .env("XDG_CACHE_HOME", cache.path())
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let found = stdout.lines().find_map(|line| line.split_once(ANSWER));
    let stderr = String::from_utf8_lossy(&output.stderr);
    let (_, answer) = found.unwrap_or_else(|| panic!("{stdout}\n{stderr}"));
    answer.to_owned()
}

fn nvrtc() -> PathBuf {
    match std::env::var_os(VARIABLE) {
        Some(place) => place.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/nvrtc"),
    }
}

#[test]
#[ignore = "no test by itself: the others run it in processes with a driver"]
fn in_a_process_with_a_driver() {
    let (Some(library), Ok(task)) = (std::env::var_os(LIBRARY), std::env::var(TASK)) else {
        return;
    };
    // SAFETY: the library is compiled from the project's own source and has no constructors.
    let driver = unsafe { libloading::Library::new(library) }.expect("the driver loads");
    let options = LoadOptions {
        batch_tokens_max: Some(ROWS),
        ..LoadOptions::default()
    };
    let answer = match task.split_once(' ') {
        Some(("inspect", ordinal)) => {
            let ordinal = ordinal.parse().expect("a number");
            let inspected = inspect(&odd(), ordinal, &options);
            inspected.map_or_else(|error| error.to_string(), |report| format!("{report:?}"))
        }
        Some(("inspect-encoder", ordinal)) => {
            let ordinal = ordinal.parse().expect("a number");
            let inspected = inspect_encoder(&bert::odd(), ordinal, &options);
            inspected.map_or_else(|error| error.to_string(), |report| format!("{report:?}"))
        }
        _ if task == "encode" => {
            enter_kernels();
            encodings(&options)
        }
        _ => {
            enter_kernels();
            scores(&options)
        }
    };
    println!("\n{ANSWER}{answer}");
    drop(driver);
}

/// Enters all kernels into the emulator's table, by naming them.
fn enter_kernels() {
    let emulated = Emulated::new(Policy::PLAIN);
    for family in [Family::Ampere, Family::Hopper] {
        for kernel in every(family) {
            emulated.facts(kernel.file, kernel.name);
        }
    }
}

/// The bits of documents' scores, from a model that has scored others before.
fn scores(options: &LoadOptions) -> String {
    let source = &mut Tiny::new(odd());
    let placed = open::load(source, SEPARATOR, 0, options).expect("the model loads");
    let mut model = placed.model;
    let mut texts = documents(&LENGTHS, odd().vocabulary);
    texts.reverse();
    model.score(&batch(&texts)).expect("the documents score");
    texts.reverse();
    bits(model.as_mut(), &texts)
}

/// The bits of documents' embeddings, and their codes, from an encoder that shares the device with
/// a language model and has embedded others before.
fn encodings(options: &LoadOptions) -> String {
    let source = &mut Tiny::new(odd());
    let placed = open::load(source, SEPARATOR, 0, options).expect("the model loads");
    let mut model = placed.model;
    let folder = tempfile::tempdir().unwrap();
    let directory = bert::random(&folder, &bert::odd());
    let lsh = bert::hashes(bert::odd().width);
    let placed = load_encoder(&directory, lsh, 0, options).expect("the encoder loads");
    let mut encoder = placed.model;
    let mut texts = documents(&LENGTHS, odd().vocabulary);
    texts.reverse();
    bert::bits(encoder.as_mut(), &texts);
    model.score(&batch(&texts)).expect("the documents score");
    texts.reverse();
    bert::bits(encoder.as_mut(), &texts)
}

fn bits(model: &mut dyn LanguageModel, texts: &[Vec<u32>]) -> String {
    let scores = super::score(model, texts);
    let bits: Vec<u64> = scores.iter().map(|nll_nats| nll_nats.to_bits()).collect();
    format!("{bits:?}")
}

#[test]
fn whatever_a_machine_lacks_is_told_in_a_line() {
    let nvrtc = nvrtc();
    let cases = [
        (
            "version=11080",
            "inspect 0",
            "the CUDA driver is of version 11.8, and kernels need 12.0",
        ),
        (
            "version=12080",
            "inspect 0",
            "the CUDA driver is of version 12.8, and kernels need 13.0",
        ),
        ("devices=0", "inspect 0", "the CUDA driver sees no device"),
        ("init=100", "inspect 0", "the CUDA driver sees no device"),
        (
            "init=999",
            "inspect 0",
            "CUDA: looking for devices failed: unknown error",
        ),
        (
            "devices=2",
            "inspect 3",
            "there is no device cuda:3: the CUDA driver sees 2",
        ),
        (
            "major=7 minor=5",
            "inspect 0",
            "Test Device is of compute capability 7.5",
        ),
        (
            "free=268500000",
            "inspect 0",
            "268500000 bytes are free; lower score.batch_tokens_max",
        ),
    ];
    for (machine, task, expected) in cases {
        let found = answer(machine, task, &nvrtc);
        assert!(found.contains(expected), "{machine}: {found}");
    }
    let found = answer("", "inspect 0", Path::new("/nowhere"));
    assert!(
        found.contains("no NVRTC to compile kernels with (/nowhere"),
        "{found}"
    );
}

#[test]
fn a_device_is_reported_with_its_memory_and_kernels() {
    let found = answer("major=9", "inspect 0", &nvrtc());
    for part in [
        "\"Test Device\"",
        "\"cuda sm_90a bf16\"",
        "batch_tokens: 150",
        "\"head_sm90\"",
    ] {
        assert!(found.contains(part), "{part} in {found}");
    }
}

#[test]
fn an_encoder_s_device_is_reported_with_its_memory_and_kernels() {
    let found = answer("major=9", "inspect-encoder 0", &nvrtc());
    for part in [
        "\"Test Device\"",
        "batch_tokens: 150",
        "\"linear_gelu_sm90\"",
        "\"codes\"",
    ] {
        assert!(found.contains(part), "{part} in {found}");
    }
    let found = answer("free=268500000", "inspect-encoder 0", &nvrtc());
    let expected = "268500000 bytes are free; lower score.batch_tokens_max";
    assert!(found.contains(expected), "{found}");
}

#[test]
fn differential_the_driver_s_embeddings_and_codes_are_the_emulator_s() {
    let folder = tempfile::tempdir().unwrap();
    let directory = bert::random(&folder, &bert::odd());
    for (family, machine) in [(Family::Ampere, "major=8"), (Family::Hopper, "major=9")] {
        let mut encoder = bert::emulated(&directory, family, 400, Policy::PLAIN);
        let expected = bert::bits(&mut encoder, &documents(&LENGTHS, odd().vocabulary));
        assert_eq!(answer(machine, "encode", &nvrtc()), expected, "{family:?}");
    }
}

#[test]
fn differential_the_driver_s_scores_are_the_emulator_s() {
    for (family, machine) in [(Family::Ampere, "major=8"), (Family::Hopper, "major=9")] {
        let source = &mut Tiny::new(odd());
        let mut model = emulated(source, family, 400, Policy::PLAIN);
        let expected = bits(&mut model, &documents(&LENGTHS, odd().vocabulary));
        assert_eq!(answer(machine, "score", &nvrtc()), expected, "{family:?}");
    }
}

//! The binary on machines with a GPU that can be used, and with one that cannot: a stand-in for
//! the driver says what the machine is.

#![allow(
    clippy::unwrap_used,
    reason = "a failed step of a test is a failed test"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A machine with a driver of the tests' own, and a directory to work in.
struct Machine {
    dir: TempDir,
    is: &'static str,
}

impl Machine {
    /// The machine that these words describe, in the form of `kernels/emulator/driver/cuda.cpp`.
    fn new(is: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let compiled = Command::new(std::env::var_os("CXX").unwrap_or_else(|| "g++".into()))
            .args(["-std=c++17", "-shared", "-fPIC", "-Wl,-soname,libcuda.so"])
            .arg(root().join("kernels/emulator/driver/cuda.cpp"))
            .arg("-o")
            .arg(dir.path().join("libcuda.so"))
            .output()
            .expect("g++ starts");
        let complaint = String::from_utf8_lossy(&compiled.stderr);
        assert!(compiled.status.success(), "{complaint}");
        Machine { dir, is }
    }

    fn riffle(&self, arguments: &[&str]) -> Output {
        let model = match std::env::var_os("RIFFLE_TEST_MODEL") {
            Some(path) => path.into(),
            None => root().join("models/SmolLM2-135M-Instruct.Q4_1.gguf"),
        };
        assert!(model.exists(), "`make models` fetches {}", model.display());
        let mut command = Command::new(env!("CARGO_BIN_EXE_riffle"));
        if std::env::var_os("RIFFLE_NVRTC").is_none() {
            command.env("RIFFLE_NVRTC", root().join(".cache/nvrtc"));
        }
        command
            .args(arguments)
            .arg(format!("--set=score.model={}", model.display()))
            .current_dir(self.dir.path())
            .env("LD_LIBRARY_PATH", self.dir.path())
            .env("RIFFLE_TEST_DRIVER", self.is)
            .env("XDG_CACHE_HOME", self.dir.path().join("cache"))
            .output()
            .unwrap()
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn check_reports_the_gpu_and_each_kernel_which_is_compiled_once() {
    let machine = Machine::new("major=8");
    for made in ["compiled in", "cached, read in"] {
        let output = machine.riffle(&["check"]);
        let report = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{report}");
        for part in [
            "cuda:0: Test Device, compute capability 8.0, driver for CUDA 13.0, 4.3 GB of 8.6 GB",
            "scores as cuda sm_80 bf16 by NVRTC",
            "335.9 MB for weights, 645.1 MB for batches of 65536 tokens",
        ] {
            assert!(report.contains(part), "{part} in {report}");
        }
        let kernels: Vec<&str> = report
            .lines()
            .filter(|it| it.contains(" kernel "))
            .collect();
        assert_eq!(kernels.len(), 7, "{report}");
        for kernel in kernels {
            assert!(
                kernel.starts_with("ok ") && kernel.contains(made),
                "{kernel}"
            );
        }
    }
}

#[test]
fn without_a_usable_gpu_auto_takes_the_cpu_and_says_why_and_a_gpu_asked_for_is_unavailable() {
    let machine = Machine::new("major=7 minor=5");
    let reason = "Test Device is of compute capability 7.5";
    let output = machine.riffle(&["run", "--until-end"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let warning = said.lines().find(|line| line.contains(reason));
    let warning = warning.unwrap_or_else(|| panic!("{said}"));
    assert!(
        warning.contains("WARN") && warning.contains("runs on the CPU"),
        "{warning}"
    );
    assert!(said.contains("cpu f32"), "{said}");

    let output = machine.riffle(&["run", "--until-end", "--set=score.device=cuda:0"]);
    assert_eq!(output.status.code(), Some(69));
    assert!(
        text(&output.stderr).contains(reason),
        "{}",
        text(&output.stderr)
    );
}

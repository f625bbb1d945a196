//! What the command line prints, compared with the transcripts beside this file.
//!
//! `TRYCMD=overwrite cargo test --test cli_transcripts` writes them anew.

use std::process::{Command, Stdio};

#[test]
fn transcripts_are_as_recorded() {
    trycmd::TestCases::new().case("tests/transcripts/*.md");
}

#[test]
fn a_reader_that_closes_the_pipe_is_no_failure() {
    let mut riffle = Command::new(env!("CARGO_BIN_EXE_riffle"))
        .args(["config", "schema"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(riffle.stdout.take());
    let output = riffle.wait_with_output().unwrap();
    assert_eq!(
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).as_ref()
        ),
        (Some(0), "")
    );
}

#[test]
fn colours_are_used_when_asked_for_and_not_in_a_pipe() {
    let colored = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_riffle"))
            .args(args)
            .env_remove("NO_COLOR")
            .output()
            .unwrap();
        [output.stdout, output.stderr].concat().contains(&0x1b)
    };
    for args in [
        &["check", "--offline"][..],
        &["--set=a=1", "check"],
        &["--help"],
    ] {
        assert!(!colored(args), "{args:?}");
        assert!(!colored(&[args, &["--color=never"]].concat()), "{args:?}");
        assert!(
            colored(&[&["--color", "always"], args].concat()),
            "{args:?}"
        );
    }
}

#[test]
fn a_completion_script_names_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = Command::new(env!("CARGO_BIN_EXE_riffle"))
            .args(["completions", shell])
            .output()
            .unwrap();
        assert!(
            String::from_utf8_lossy(&output.stdout).contains("check"),
            "{shell}"
        );
    }
}

#[test]
fn brokers_that_are_away_are_told_with_the_reason_and_nothing_else() {
    // Nothing listens on port 1.
    let output = Command::new(env!("CARGO_BIN_EXE_riffle"))
        .args(["check", "--set=score.perplexity.field=metadata.perplexity"])
        .args([
            "--set=documents.log=kafka",
            "--set=kafka.bootstrap.servers=127.0.0.1:1",
        ])
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(69), "{stdout}");
    assert!(stdout.contains("FAIL     brokers"), "{stdout}");
    assert!(
        stdout.contains("refused") && stdout.contains("fix: start the cluster"),
        "{stdout}"
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

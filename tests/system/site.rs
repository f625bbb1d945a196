//! A place where the binary runs: a directory of its own, and what is configured for it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

/// The longest that any command may take; one that hangs fails its test.
const SECONDS_MAX: &str = "120";

/// A directory with its own logs, and the values that every command there is given.
pub struct Site {
    dir: TempDir,
    set: Vec<String>,
}

/// How a command ended.
pub struct Ended {
    /// Its exit code; 124 when it hung.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said.
    pub stderr: String,
}

impl Site {
    /// Local logs; scores come from the documents.
    pub fn new() -> Self {
        Site::with_model().set("score.perplexity.field=metadata.perplexity")
    }

    /// The same with this configuration file.
    pub fn with_rules(rules: &str) -> Self {
        let site = Site::new();
        site.write("riffle.toml", rules);
        site
    }

    /// Local logs; scores come from the model, wherever it is configured to be.
    pub fn with_model() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Site {
            dir,
            set: Vec::new(),
        }
    }

    /// All logs on this broker, in topics that begin with `prefix`.
    pub fn kafka(bootstrap: &str, prefix: &str) -> Self {
        let mut site = Site::new().set(&format!("kafka.bootstrap.servers={bootstrap}"));
        for log in ["documents", "scored", "curated"] {
            site = site.set(&format!("{log}.log=kafka"));
            site = site.set(&format!("{log}.topic={prefix}-{log}"));
        }
        site.set(&format!("scored.dead_letters_topic={prefix}-dead-letters"))
            .set(&format!("curated.statistics_topic={prefix}-statistics"))
    }

    /// The same with one more value set.
    pub fn set(mut self, assignment: &str) -> Self {
        self.set.push(format!("--set={assignment}"));
        self
    }

    /// A file or directory of the site.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file of the site.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// A command that runs in the site, started by `program`, which may be the binary itself.
    fn started_by(&self, program: &str, before: &[&str], args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(before).args(&self.set).args(args);
        command
            .current_dir(self.dir.path())
            .env_remove("RIFFLE_LOG")
            // Errors are one line all the same.
            .env("RUST_BACKTRACE", "1");
        command
    }

    /// Starts the binary, to be signalled.
    pub fn spawn(&self, args: &[&str]) -> Child {
        let mut command = self.started_by(binary(), &[], args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Starts the binary, which adds what it says to a file.
    #[allow(dead_code, reason = "of those that share this file, the soak needs it")]
    pub fn spawn_into(&self, said: &Path, args: &[&str]) -> Child {
        let said = File::options().create(true).append(true).open(said);
        let mut command = self.started_by(binary(), &[], args);
        command.stdout(Stdio::null()).stderr(said.unwrap());
        command.spawn().unwrap()
    }

    /// Runs the binary with this on its standard input.
    pub fn riffle_reading(&self, input: &[u8], args: &[&str]) -> Ended {
        let before = ["-k", "5", SECONDS_MAX, binary()];
        ended(self.started_by("timeout", &before, args), input)
    }

    /// Runs the binary with this variable set.
    pub fn riffle_with(&self, variable: &str, value: &str, args: &[&str]) -> Ended {
        let before = ["-k", "5", SECONDS_MAX, binary()];
        let mut command = self.started_by("timeout", &before, args);
        command.env(variable, value);
        ended(command, b"")
    }

    /// Runs the binary.
    pub fn riffle(&self, args: &[&str]) -> Ended {
        self.riffle_reading(b"", args)
    }

    /// Runs the binary from a shell in which `limits` has been run before.
    pub fn riffle_under(&self, limits: &str, args: &[&str]) -> Ended {
        let script = format!("{limits}; exec timeout -k 5 {SECONDS_MAX} \"$0\" \"$@\"");
        ended(
            self.started_by("bash", &["-c", &script, binary()], args),
            b"",
        )
    }

    /// Feeds these lines of JSON.
    pub fn feed(&self, lines: &[Value]) {
        let fed = self.riffle_reading(&json_lines(lines), &["feed", "-"]);
        assert_eq!(fed.code, Some(0), "{}", fed.stderr);
    }

    /// Runs to the end of the logs; the summary.
    pub fn run(&self) -> Value {
        let run = self.riffle(&["run", "--until-end", "--json"]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        serde_json::from_str(&run.stdout).unwrap()
    }

    /// What a log holds.
    pub fn tail(&self, log: &str) -> Vec<Value> {
        let tail = self.riffle(&["tail", log, "--until-end", "--json"]);
        assert_eq!(tail.code, Some(0), "{}", tail.stderr);
        let lines = tail.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// Each value on a line of its own.
pub fn json_lines(values: &[Value]) -> Vec<u8> {
    let lines = values.iter().map(|value| format!("{value}\n"));
    lines.collect::<String>().into_bytes()
}

/// Document number `n` in its version `version`: perplexities differ, whatever the order.
pub fn document(n: u64, version: u64) -> Value {
    assert!(n < 5_000 && version < 10);
    // 50021 is a prime: no two of these are the same.
    let perplexity = 1.5 + ((n * 10 + version) * 7919 % 50_021) as f64 / 64.0;
    json!({
        "id": id(n),
        "text": format!("The {n}th traveller told her story for the {version}th time."),
        "source": (["letters", "diaries", "tales"][n as usize % 3]),
        "metadata": {"perplexity": perplexity},
    })
}

/// Document number `n` with letters that hardly compress, more than 300 bytes of them.
pub fn noisy(n: u64) -> Value {
    let word = |i: u64| format!("{:x}", (n * 64 + i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut document = document(n, 0);
    document["metadata"]["noise"] = json!((0..40).map(word).collect::<String>());
    document
}

/// The id of document number `n`.
pub fn id(n: u64) -> String {
    format!("traveller-{n:04}")
}

/// The line that takes document number `n` down.
pub fn takedown(n: u64) -> Value {
    json!({"id": id(n), "deleted": true})
}

/// The model that `make models` fetches.
pub fn model() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("models/SmolLM2-135M-Instruct.Q4_1.gguf");
    assert!(
        path.exists(),
        "{} is missing: run `make models`",
        path.display()
    );
    path
}

/// The encoder that `make models` fetches.
pub fn encoder() -> PathBuf {
    let path = match std::env::var_os("RIFFLE_TEST_ENCODER") {
        Some(path) => path.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("models/all-MiniLM-L6-v2"),
    };
    assert!(
        path.exists(),
        "{} is missing: run `make models`",
        path.display()
    );
    path
}

/// The processes that this one has started and not waited for.
pub fn children_of(id: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
    let children = children.unwrap_or_default();
    children
        .split_whitespace()
        .map(|id| id.parse().unwrap())
        .collect()
}

fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_riffle")
}

/// Runs `command` to its end.
pub fn ended(mut command: Command, input: &[u8]) -> Ended {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            // A command that ends early reads no further; its exit code says whether it may.
            let _ = stdin.write_all(input);
        });
        Ended::from(child.wait_with_output().unwrap())
    })
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

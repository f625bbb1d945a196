//! A real Kafka broker for tests, started on demand by `scripts/kafka`.

use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A broker with a data directory of its own, gone with the process that started it.
pub struct Broker {
    dir: PathBuf,
    bootstrap: String,
    /// Held open for a shell that stops the broker when this process ends, in whichever way:
    /// statics are not dropped, and a test that is killed drops nothing.
    _life: ChildStdin,
}

/// The broker that the tests of this process share.
pub fn shared() -> &'static Broker {
    static SHARED: OnceLock<Broker> = OnceLock::new();
    SHARED.get_or_init(Broker::start)
}

impl Broker {
    /// Starts a broker and waits till it answers.
    ///
    /// # Panics
    /// If there is no broker to be had; the script says why.
    pub fn start() -> Broker {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("kafka-{}-{count}", std::process::id());
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        #[expect(
            clippy::zombie_processes,
            reason = "it outlives this process, that is its purpose"
        )]
        let mut undertaker = Command::new("bash")
            .args([
                "-c",
                "trap '' INT; cat >/dev/null; \"$0\" stop \"$1\"; rm -rf \"$1\"",
            ])
            .arg(script())
            .arg(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("bash starts");
        let life = undertaker.stdin.take().expect("it was asked for");
        let bootstrap = start(&dir);
        Broker {
            dir,
            bootstrap,
            _life: life,
        }
    }

    /// Where the broker listens.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Stops the broker; its data stay.
    pub fn stop(&self) {
        self.tell("stop");
    }

    /// Kills the broker with what it has not written yet; its data stay.
    #[allow(dead_code, reason = "of those that share this file, the soak needs it")]
    pub fn kill(&self) {
        self.tell("kill");
    }

    /// Lets the broker stand still, connections open, until `go_on`.
    #[allow(dead_code, reason = "of those that share this file, the soak needs it")]
    pub fn pause(&self) {
        self.tell("pause");
    }

    /// Lets it go on.
    #[allow(dead_code, reason = "of those that share this file, the soak needs it")]
    pub fn go_on(&self) {
        self.tell("go-on");
    }

    fn tell(&self, what: &str) {
        let status = Command::new(script()).arg(what).arg(&self.dir).status();
        assert!(status.expect("the script runs").success());
    }

    /// Starts it again with its data, at the same address.
    pub fn resume(&self) {
        assert_eq!(start(&self.dir), self.bootstrap);
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka")
}

fn start(dir: &Path) -> String {
    let output = Command::new(script())
        .arg("start")
        .arg(dir)
        .stderr(Stdio::inherit())
        .output();
    let output = output.expect("the script runs");
    assert!(output.status.success(), "no broker");
    String::from_utf8(output.stdout)
        .expect("an address")
        .trim()
        .to_owned()
}

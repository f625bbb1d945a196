//! Curate in several processes: what they publish is what one would, byte for byte, whatever
//! becomes of them on the way.

mod equality;
mod meeting;
mod supervisor;

use std::io::Read;
use std::process::Child;
use std::thread;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use riffle::log::Record;
use serde_json::{Value, json};

use crate::curated::{Changes, Documents, of_tail};
use crate::scored;
use crate::site::{Site, children_of};

const PARTITIONS: u16 = 3;
/// Documents have these in turn.
const SKILLS: [&str; 4] = ["read", "write", "sing", "paint"];

/// Stages that keep some of what `append` appends, committed often.
pub const SIMPLE: &str = r#"
[curate]
epoch_ms = 50

[[select]]
by = "perplexity"
rate = 0.5
group_by = "source"

[[select]]
by = "density"
rate = 0.5
"#;

/// The id of document number `n`.
pub fn id(n: u64) -> String {
    format!("document-{n}")
}

/// Document number `n` in this version, with codes of its topic.
fn document(n: u64, version: u64) -> Record {
    let mean_nll_nats = 1.0 + ((n * 10 + version) * 7919 % 50_021) as f64 / 1e4;
    let json = json!({
        "id": id(n),
        "text": format!("text {n} {version}"),
        "source": format!("source-{}", n % 5),
        "metadata": {
            "perplexity": mean_nll_nats.exp(),
            "lang": (!n.is_multiple_of(3)).then(|| format!("lang-{}", n % 3)),
            "skill": SKILLS[(n / 7 % 4) as usize],
        },
    });
    let place = |row: u16| {
        let is_own = (n + u64::from(row)).is_multiple_of(4);
        let place = if is_own { n } else { (n * n) % 90 };
        format!("{row} {place}")
    };
    scored::scored(&json, mean_nll_nats, 10 + (n % 50) as u32, place)
}

/// Appends so many documents, older ones anew, and takedowns to the scored log, in one commit.
pub fn append(site: &Site, from: u64, count: u64) {
    let mut records = Vec::new();
    let mut push = |n: u64, record| records.push(((n % 3) as u16, record));
    for n in from..from + count {
        push(n, document(n, 0));
        if n % 4 == 0 {
            push(n / 2, document(n / 2, 1 + n % 5));
        }
        if n % 9 == 0 {
            push(n / 3, scored::takedown(&id(n / 3)));
        }
    }
    scored::append(site, PARTITIONS, records);
}

/// What curate publishes in, by name of this crew: topics of its own.
pub fn topics(name: &str) -> [String; 3] {
    ["curated", "statistics", "mixture"].map(|log| format!("{log}-{name}"))
}

pub fn curate(site: &Site, name: &str, args: &[&str]) {
    let [curated, statistics, mixture] = topics(name);
    let set = [
        format!("--set=curated.topic={curated}"),
        format!("--set=curated.statistics_topic={statistics}"),
        format!("--set=mixture.topic={mixture}"),
    ];
    let set = set.iter().map(String::as_str);
    let args: Vec<&str> = ["curate", "--until-end"]
        .into_iter()
        .chain(set)
        .chain(args.iter().copied())
        .collect();
    let ended = site.riffle(&args);
    assert_eq!(ended.code, Some(0), "{name}: {}", ended.stderr);
}

/// A supervisor, with the processes that it keeps running.
pub struct Cluster {
    pub supervisor: Child,
    /// What it says, which is read all the time: nobody waits for room to say it.
    said: JoinHandle<String>,
}

impl Cluster {
    pub fn start(site: &Site, args: &[&str]) -> Self {
        let mut supervisor = site.spawn(&[&["curate"], args].concat());
        let mut stderr = supervisor.stderr.take().unwrap();
        let said = thread::spawn(move || {
            let mut said = Vec::new();
            stderr.read_to_end(&mut said).unwrap();
            String::from_utf8_lossy(&said).into_owned()
        });
        Cluster { supervisor, said }
    }

    /// A supervisor of one process of the cluster in the hostfile.
    pub fn of_process(site: &Site, process: &str) -> Self {
        let args = ["--process", process, "--hostfile", "hosts", "--supervise"];
        Cluster::start(site, &args)
    }

    /// The ids of its processes that run now.
    pub fn members(&self) -> Vec<u32> {
        children_of(self.supervisor.id())
    }

    pub fn signal(id: u32, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(id as i32).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Asks it to end; what it said.
    pub fn end(self) -> String {
        Self::signal(self.supervisor.id(), rustix::process::Signal::TERM);
        self.ended()
    }

    /// Waits for its end, which must be a good one; what it said.
    pub fn ended(self) -> String {
        let (code, said) = self.outcome();
        assert_eq!(code, Some(0), "{said}");
        said
    }

    /// Waits for its end: its exit code, and what it said.
    pub fn outcome(mut self) -> (Option<i32>, String) {
        let status = self.supervisor.wait().unwrap();
        (status.code(), self.said.join().unwrap())
    }
}

/// Waits until it is so, but not for ever.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(
            since.elapsed() < Duration::from_secs(180),
            "waited in vain: {what}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

/// What the changes in a curated log make, none of which may have been published twice.
pub fn curated_in(site: &Site, topic: &str) -> Documents {
    let set = format!("--set=curated.topic={topic}");
    let tail = site.riffle(&["tail", "curated", "--until-end", "--json", &set]);
    let lines = tail.stdout.lines();
    let lines: Vec<Value> = lines.map(|it| serde_json::from_str(it).unwrap()).collect();
    Changes::apply(Documents::new(), of_tail(&lines)).set
}

pub fn curated_so_far(site: &Site) -> Documents {
    curated_in(site, "curated")
}

//! Curate in several processes: what they publish is what one would, byte for byte, whatever
//! becomes of them on the way.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::Child;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fs, thread};

use riffle::cluster::free_addresses;
use riffle::config::Sketch;
use riffle::log::local::{LocalOptions, LocalStore};
use riffle::log::{Layout, Record, Store};
use riffle::records::{Codes, Scored};
use serde_json::{Value, json};

use crate::curated::{Changes, Documents, of_tail};
use crate::site::{Site, children_of, json_lines};

const PARTITIONS: u16 = 3;
const SKILLS: [&str; 4] = ["read", "write", "sing", "paint"];

/// Stages of every kind, which group by three fields.
const RULES: &str = r#"
[score.tokens]
field = "metadata.tokens"

[skills]
field = "metadata.skill"

[mixture]
skills = ["read", "write", "sing"]

[curate]
epoch_ms = 600_000

[[select]]
by = "perplexity"
rate = 0.9
group_by = "source"

[[select]]
by = "density"
rate = 0.8

[[select]]
by = "random"
rate = 0.9
group_by = "metadata.lang"

[[select]]
by = "skills"
rate = 0.6
mass = "tokens"

[[select]]
by = "stratified"
rate = 0.9
"#;

fn site(rules: &str) -> Site {
    let site = Site::new();
    site.write("riffle.toml", rules);
    site
}

fn id(n: u64) -> String {
    format!("document-{n}")
}

/// Document number `n` in this version, with codes of its topic.
fn scored(n: u64, version: u64) -> Record {
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
    let sketch = Sketch::default();
    let topic = (n * n) % 90;
    let code = |row: u16| {
        let own = format!(
            "{row} {}",
            if (n + u64::from(row)).is_multiple_of(4) {
                n
            } else {
                topic
            }
        );
        let hash = blake3::hash(own.as_bytes());
        let number = u32::from_le_bytes(*hash.as_bytes().first_chunk().unwrap());
        (number % sketch.cells) as u16
    };
    let codes = Codes::bytes_of(&(0..sketch.rows).map(code).collect::<Vec<_>>());
    let json = json.to_string();
    let scored = Scored {
        mean_nll_nats,
        tokens: 10 + (n % 50) as u32,
        truncated: false,
        scorer: "test",
        sketch: sketch.fingerprint(),
        codes: Codes::of_bytes(&codes).unwrap(),
        embedding: Vec::new(),
        quality: None,
        skill: None,
        document: json.as_bytes(),
    };
    Record {
        key: Some(id(n).into_bytes()),
        value: Some(scored.encode()),
        headers: Vec::new(),
    }
}

/// Appends so many documents, older ones anew, and takedowns to the scored log, in one commit.
fn append(site: &Site, from: u64, count: u64) {
    let store = LocalStore::open(&site.path("riffle-data"), LocalOptions::default()).unwrap();
    let layout = Layout {
        partitions: PARTITIONS,
        compacted: false,
    };
    store.create("scored", layout).unwrap();
    let mut writer = store.writer("test", &["scored"]).unwrap();
    let mut append = |n: u64, record| writer.append("scored", (n % 3) as u16, record).unwrap();
    for n in from..from + count {
        append(n, scored(n, 0));
        if n % 4 == 0 {
            append(n / 2, scored(n / 2, 1 + n % 5));
        }
        if n % 9 == 0 {
            let record = Record {
                value: None,
                ..scored(n / 3, 0)
            };
            append(n / 3, record);
        }
    }
    writer.commit(b"").unwrap();
}

fn report_losses(site: &Site, round: u64) {
    let report = |(at, skill): (usize, &&str)| {
        let loss = 0.5 + (at as f64 + round as f64) % 3.0;
        json!({"round": round, "skill": skill, "loss": loss})
    };
    let lines: Vec<Value> = SKILLS[..3].iter().enumerate().map(report).collect();
    let reported = site.riffle_reading(&json_lines(&lines), &["losses", "-"]);
    assert_eq!(reported.code, Some(0), "{}", reported.stderr);
}

/// What curate publishes in, by name of this crew: topics of its own.
fn topics(name: &str) -> [String; 3] {
    ["curated", "statistics", "mixture"].map(|log| format!("{log}-{name}"))
}

fn curate(site: &Site, name: &str, args: &[&str]) {
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

/// The bytes of all segments of what was published under this name.
fn published(site: &Site, name: &str) -> BTreeMap<String, Vec<u8>> {
    let mut bytes = BTreeMap::new();
    for topic in topics(name) {
        let log = site.path("riffle-data").join("logs").join(&topic);
        let what = topic.strip_suffix(name).unwrap();
        segments(&log, what, &mut bytes);
    }
    assert!(bytes.len() > 2, "{:?}", bytes.keys());
    bytes
}

fn segments(dir: &Path, name: &str, bytes: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{name}/{}", path.file_name().unwrap().display());
        if path.is_dir() {
            segments(&path, &name, bytes);
        } else if name.ends_with(".seg") {
            bytes.insert(name, fs::read(path).unwrap());
        }
    }
}

/// Curates in one process and in several, after each of three feeds, and under changed rules, and
/// compares the logs.
fn compare(site: &Site, crews: &[(&str, &str)]) {
    let all = || std::iter::once(&("1", "1")).chain(crews);
    let curate_all = |extra: &[&str]| {
        for (processes, workers) in all() {
            let name = format!("{processes}x{workers}");
            let workers = format!("--set=curate.workers={workers}");
            let mut args = vec![workers.as_str()];
            args.extend(extra);
            if *processes != "1" {
                args.extend(["--processes", processes]);
            }
            curate(site, &name, &args);
        }
    };
    for feed in 0..2 {
        append(site, feed * 1500, 1500);
        report_losses(site, feed);
        curate_all(&[]);
    }
    // The old rules run first, and the difference comes out.
    let other = r#"--set=select=[{by="perplexity",keep="low",rate=0.7,group_by="source"},{by="density",rate=0.5},{by="skills",rate=0.5}]"#;
    curate_all(&[other]);
    let expected = published(site, "1x1");
    for (processes, workers) in crews {
        let found = published(site, &format!("{processes}x{workers}"));
        assert!(found.keys().eq(expected.keys()));
        for (name, bytes) in &found {
            assert!(
                *bytes == expected[name],
                "{name} of {processes} processes with {workers} workers differs"
            );
        }
    }
}

#[test]
fn several_processes_publish_what_one_does_byte_for_byte() {
    let site = site(RULES);
    compare(
        &site,
        &[("1", "2"), ("2", "1"), ("2", "2"), ("3", "1"), ("3", "2")],
    );
}

/// A supervisor, with the processes that it keeps running.
struct Cluster {
    supervisor: Child,
    /// What it says, which is read all the time: nobody waits for room to say it.
    said: JoinHandle<String>,
}

impl Cluster {
    fn start(site: &Site, args: &[&str]) -> Self {
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
    fn of_process(site: &Site, process: &str) -> Self {
        let args = ["--process", process, "--hostfile", "hosts", "--supervise"];
        Cluster::start(site, &args)
    }

    /// The ids of its processes that run now.
    fn members(&self) -> Vec<u32> {
        children_of(self.supervisor.id())
    }

    fn signal(id: u32, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(id as i32).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Asks it to end; what it said.
    fn end(self) -> String {
        Self::signal(self.supervisor.id(), rustix::process::Signal::TERM);
        self.ended()
    }

    /// Waits for its end; what it said.
    fn ended(mut self) -> String {
        let status = self.supervisor.wait().unwrap();
        let said = self.said.join().unwrap();
        assert_eq!(status.code(), Some(0), "{said}");
        said
    }
}

/// Waits until it is so, but not for ever.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(
            since.elapsed() < Duration::from_secs(60),
            "waited in vain: {what}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

/// What the changes in a curated log make, none of which may have been published twice.
fn curated_in(site: &Site, topic: &str) -> Documents {
    let set = format!("--set=curated.topic={topic}");
    let tail = site.riffle(&["tail", "curated", "--until-end", "--json", &set]);
    let lines = tail.stdout.lines();
    let lines: Vec<Value> = lines.map(|it| serde_json::from_str(it).unwrap()).collect();
    Changes::apply(Documents::new(), of_tail(&lines)).set
}

fn curated_so_far(site: &Site) -> Documents {
    curated_in(site, "curated")
}

const SIMPLE: &str = r#"
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

#[test]
fn fault_killed_processes_are_started_again_and_nothing_is_lost_or_doubled() {
    let site = site(SIMPLE);
    append(&site, 0, 200);
    let cluster = Cluster::start(&site, &["--processes", "3"]);
    let kills = std::env::var("RIFFLE_TEST_CASES").map_or(5, |kills| kills.parse().unwrap());
    for kill in 0..kills {
        wait_until("all processes run", || cluster.members().len() == 3);
        let new = 200 + kill * 200..400 + kill * 200;
        append(&site, new.start, 200);
        // At one time or another while they meet, replay, and commit; but not always before they
        // commit, or the supervisor would give up.
        match kill % 3 {
            2 => wait_until("the new documents are curated", || {
                let curated = curated_so_far(&site);
                new.clone().any(|n| curated.contains_key(&id(n)))
            }),
            _ => thread::sleep(Duration::from_millis(kill * kill * 70 % 1_500)),
        }
        let members = cluster.members();
        let victim = members[(kill * kill * 7 / 3 % 3) as usize % members.len()];
        Cluster::signal(victim, rustix::process::Signal::KILL);
        wait_until("they are others", || !cluster.members().contains(&victim));
    }
    curate(&site, "reference", &[]);
    let expected = curated_in(&site, "curated-reference");
    assert!(expected.len() as u64 > 30 * kills, "{}", expected.len());
    wait_until("all is curated", || curated_so_far(&site) == expected);
    let said = cluster.end();
    assert!(said.contains("was killed by signal 9"), "{said}");
    assert_eq!(
        said.matches("starting all again").count() as u64,
        kills,
        "{said}"
    );
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn fault_without_a_supervisor_the_loss_of_a_process_ends_the_others_with_its_name() {
    let site = site(SIMPLE);
    append(&site, 0, 100);
    let hosts = free_addresses(2).unwrap();
    site.write("hosts", hosts.join("\n"));
    let start =
        |process: &str| site.spawn(&["curate", "--process", process, "--hostfile", "hosts"]);
    let (first, mut second) = (start("0"), start("1"));
    wait_until("something is curated", || !curated_so_far(&site).is_empty());
    second.kill().unwrap();
    second.wait().unwrap();
    let ended = first.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(75), "{said}");
    let error = said.lines().last().unwrap();
    assert_eq!(
        error,
        "error: process 1 of the cluster is lost: it has ended, or was killed"
    );
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn machines_under_supervisors_of_their_own_meet_again_and_end_together() {
    let site = site(SIMPLE);
    append(&site, 0, 100);
    site.write("hosts", free_addresses(2).unwrap().join("\n"));
    let [first, second] = ["0", "1"].map(|it| Cluster::of_process(&site, it));
    wait_until("something is curated", || !curated_so_far(&site).is_empty());
    let before = (first.members()[0], second.members()[0]);
    Cluster::signal(before.1, rustix::process::Signal::KILL);
    wait_until("both are started again", || {
        let running = (first.members(), second.members());
        running.0.first().is_some_and(|it| *it != before.0)
            && running.1.first().is_some_and(|it| *it != before.1)
    });
    append(&site, 100, 100);
    let many = curated_so_far(&site).len() + 10;
    wait_until("more is curated", || curated_so_far(&site).len() > many);
    // A member that is asked to end ends all.
    let said = second.end();
    first.ended();
    assert!(said.contains("starting all again"), "{said}");
}

#[test]
fn processes_that_do_not_belong_together_are_told_why() {
    let site = site(SIMPLE);
    append(&site, 0, 10);
    site.write("hosts", free_addresses(2).unwrap().join("\n"));
    let mut first = site.spawn(&[
        "curate",
        "--process",
        "0",
        "--hostfile",
        "hosts",
        "--until-end",
    ]);
    for (args, key, expected) in [
        (
            vec!["--set=curate.workers=2"],
            "",
            "it has curate.workers = 2, and process 0 1",
        ),
        (
            vec!["--set=select=[]"],
            "",
            "it has these rules: [], and process 0 ",
        ),
        (
            vec![],
            "another",
            "it belongs to another cluster at the same addresses",
        ),
    ] {
        let mut all = vec!["curate", "--process", "1", "--hostfile", "hosts"];
        all.extend(&args);
        let ended = site.riffle_with("RIFFLE_CLUSTER_KEY", key, &all);
        assert_eq!(ended.code, Some(78), "{}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    }
    // Process 0 still waits for its own.
    let second = site.riffle(&["curate", "--process", "1", "--hostfile", "hosts"]);
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    assert!(first.wait().unwrap().success());
    for args in [
        vec!["--process", "2", "--hostfile", "hosts"],
        vec!["--process", "0", "--hostfile", "missing"],
        vec!["--process", "0"],
        vec!["--hostfile", "hosts"],
        vec!["--processes", "2", "--process", "0"],
    ] {
        let ended = site.riffle(&[&["curate"], &args[..]].concat());
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.stderr);
    }
}

#[test]
fn fault_a_cluster_that_fails_at_the_same_place_again_and_again_is_given_up() {
    let site = site(SIMPLE);
    append(&site, 0, 10);
    // Damage in the log, which nothing but a person can mend.
    let segment = site.path("riffle-data/logs/scored/00000/00000000000000000000.seg");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[60..70].fill(0xaa);
    fs::write(&segment, bytes).unwrap();
    let ended = site.riffle(&["curate", "--processes", "2"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let error = ended.stderr.lines().last().unwrap();
    let expected =
        "error: process 0 ended with exit code 1, and 6 starts in a row have committed nothing: ";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn a_cluster_that_is_asked_to_end_before_it_has_met_ends() {
    let site = site(SIMPLE);
    site.write("hosts", free_addresses(3).unwrap().join("\n"));
    let [first, second] = ["0", "1"].map(|it| Cluster::of_process(&site, it));
    wait_until("both run", || {
        [&first, &second].iter().all(|it| it.members().len() == 1)
    });
    thread::sleep(Duration::from_millis(300));
    for waiting in [first, second] {
        let said = waiting.end();
        assert!(!said.contains("error"), "{said}");
    }
}

#[test]
fn a_cluster_whose_supervisor_is_killed_ends_and_another_goes_on() {
    let site = site(SIMPLE);
    append(&site, 0, 100);
    let mut cluster = Cluster::start(&site, &["--processes", "2"]);
    wait_until("something is curated", || !curated_so_far(&site).is_empty());
    let members = cluster.members();
    cluster.supervisor.kill().unwrap();
    cluster.supervisor.wait().unwrap();
    wait_until("its processes end", || {
        members
            .iter()
            .all(|id| !Path::new(&format!("/proc/{id}")).exists() || is_zombie(*id))
    });
    append(&site, 100, 50);
    let ended = site.riffle(&["curate", "--processes", "2", "--until-end", "--json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let summary: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert!(summary["admitted"].as_u64().unwrap() > 0, "{summary}");
}

/// Whether a process has ended, and its parent, which is gone too, has not been told.
fn is_zombie(id: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| rest.trim().starts_with('Z'))
}

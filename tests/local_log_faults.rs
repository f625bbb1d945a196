//! What a local store makes of torn files, flipped bytes, full disks and killed processes.
#![allow(clippy::unwrap_used)] // a test that unwraps has failed

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use riffle::log::local::{LocalOptions, LocalStore};
use riffle::log::{Layout, LogError, Offsets, Position, Record, Result, Store};

const OPTIONS: LocalOptions = LocalOptions {
    durable: false,
    record_bytes_max: 1 << 20,
    journal_bytes_max: 4 << 20,
    segment_bytes: 256,
};
const LOGS: [&str; 2] = ["one", "two"];

fn open(dir: &Path) -> Result<LocalStore> {
    LocalStore::open(dir, OPTIONS)
}

fn record(number: u64) -> Record {
    let value = format!("{number} ")
        .repeat(20 + number as usize % 7)
        .into_bytes();
    Record {
        key: Some(number.to_string().into()),
        value: Some(value),
        headers: Vec::new(),
    }
}

/// Appends `count` records to each log, numbered on from what the logs hold, and commits.
fn write(store: &LocalStore, count: u64) -> Result<()> {
    let mut writer = store.writer("w", &LOGS)?;
    let done = writer
        .position()
        .map_or(0, |p| u64::from_le_bytes(p.try_into().unwrap()));
    for number in done..done + count {
        for log in LOGS {
            writer.append(log, 0, record(number))?;
        }
    }
    writer.commit(&(done + count).to_le_bytes())
}

/// A store with a commit of `count` records after the other.
fn written(dir: &Path, counts: &[u64]) {
    let store = open(dir).unwrap();
    for log in LOGS {
        store
            .create(
                log,
                Layout {
                    partitions: 1,
                    compacted: false,
                },
            )
            .unwrap();
    }
    counts
        .iter()
        .for_each(|count| write(&store, *count).unwrap());
}

/// How many records each log holds; they must be the first ones, whole and in order.
fn read(store: &LocalStore) -> Result<u64> {
    let mut counts = Vec::new();
    for log in LOGS {
        let ends = store.ends(log)?;
        let mut reader = store.reader(log, &Offsets::default())?;
        let mut records = Vec::new();
        while !reader.offsets().reaches(&ends) {
            records.extend(reader.poll(Duration::ZERO)?);
        }
        for (number, received) in (0..).zip(&records) {
            assert_eq!(received.position, Position::new(0, number));
            assert_eq!(received.record, record(number));
        }
        let positions: Vec<Position> = records.iter().map(|r| r.position).collect();
        let mut fetched = Vec::new();
        store
            .fetcher(log)?
            .fetch(&positions, &mut |_, record| fetched.push(record))?;
        assert!(
            fetched
                .into_iter()
                .eq(records.into_iter().map(|r| r.record))
        );
        counts.push(ends.0[0]);
    }
    assert_eq!(counts[0], counts[1], "the logs commit together");
    Ok(counts[0])
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found)
        } else {
            found.push(path)
        }
    }
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(dir, &mut found);
    found.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    found.sort();
    found
}

/// Runs `check` with the file's bytes replaced, and puts them back.
fn with_bytes(path: &Path, bytes: &[u8], check: impl FnOnce()) {
    let before = fs::read(path).unwrap();
    fs::write(path, bytes).unwrap();
    check();
    fs::write(path, before).unwrap();
}

/// Everything under the directory, to start over from.
fn snapshot(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = Vec::new();
    files(dir, &mut found);
    found
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

fn restore(dir: &Path, snapshot: &BTreeMap<PathBuf, Vec<u8>>) {
    let mut found = Vec::new();
    files(dir, &mut found);
    found
        .iter()
        .filter(|path| !snapshot.contains_key(*path))
        .for_each(|p| fs::remove_file(p).unwrap());
    snapshot
        .iter()
        .for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
}

fn is_corrupt<T>(result: &Result<T>) -> bool {
    matches!(result, Err(LogError::Corrupt { .. }))
}

#[test]
fn fault_a_commit_cut_off_at_any_byte_of_the_journal_never_took_place() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal");
    written(dir.path(), &[5, 9]);
    let before = fs::read(&journal).unwrap().len();
    write(&open(dir.path()).unwrap(), 30).unwrap();
    let whole = snapshot(dir.path());
    let bytes = &whole[&journal];
    for cut in before..=bytes.len() {
        fs::write(&journal, &bytes[..cut]).unwrap();
        let store = open(dir.path()).unwrap();
        let expected = if cut == bytes.len() { 44 } else { 14 };
        assert_eq!(
            read(&store).unwrap(),
            expected,
            "cut at {cut} of {}",
            bytes.len()
        );
        write(&store, 7).unwrap();
        assert_eq!(
            read(&store).unwrap(),
            expected + 7,
            "cut at {cut} of {}",
            bytes.len()
        );
        restore(dir.path(), &whole);
    }
}

#[test]
fn fault_segments_cut_off_at_any_byte_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), &[30, 3, 12]);
    let segments = segments(dir.path());
    assert!(segments.len() >= 4, "several segments a log: {segments:?}");
    for path in segments {
        let bytes = fs::read(&path).unwrap();
        for cut in 0..bytes.len() {
            with_bytes(&path, &bytes[..cut], || {
                let read = read(&open(dir.path()).unwrap());
                assert!(is_corrupt(&read), "{path:?} cut at {cut}: {read:?}");
            });
        }
        fs::remove_file(&path).unwrap();
        let read = read(&open(dir.path()).unwrap());
        assert!(is_corrupt(&read), "{path:?} removed: {read:?}");
        fs::write(&path, bytes).unwrap();
    }
    assert_eq!(read(&open(dir.path()).unwrap()).unwrap(), 45);
}

#[test]
fn fault_what_lies_behind_the_committed_end_is_cut_by_the_next_writer() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), &[5]);
    for path in segments(dir.path()) {
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(b"half a frame");
        fs::write(&path, bytes).unwrap();
        fs::write(
            path.with_file_name("00000000000000000005.seg"),
            b"of nobody",
        )
        .unwrap();
    }
    let store = open(dir.path()).unwrap();
    assert_eq!(read(&store).unwrap(), 5);
    write(&store, 50).unwrap();
    assert_eq!(read(&store).unwrap(), 55);
}

#[test]
fn fault_every_flipped_byte_is_reported_or_was_in_the_last_commit() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal");
    written(dir.path(), &[3, 4]);
    let last_commit = fs::read(&journal).unwrap().len();
    write(&open(dir.path()).unwrap(), 20).unwrap();
    for path in segments(dir.path()).into_iter().chain([journal.clone()]) {
        let bytes = fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            with_bytes(&path, &flipped, || {
                let read = open(dir.path()).and_then(|store| read(&store));
                let torn = path == journal && at >= last_commit;
                let fine = if torn {
                    matches!(read, Ok(7))
                } else {
                    is_corrupt(&read)
                };
                assert!(fine, "{path:?} flipped at {at}: {read:?}");
            });
        }
    }
}

#[test]
fn fault_missing_and_damaged_indexes_are_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), &[30, 90, 10]);
    let closed = segments(dir.path()).len() - LOGS.len();
    let mut found = Vec::new();
    files(dir.path(), &mut found);
    found.retain(|path| path.extension().is_some_and(|extension| extension == "idx"));
    assert!(
        closed >= LOGS.len() && found.len() == closed,
        "one a closed segment: {found:?}"
    );
    for path in &found {
        let bytes = fs::read(path).unwrap();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            with_bytes(path, &flipped, || {
                assert!(read(&open(dir.path()).unwrap()).is_ok())
            });
        }
        fs::remove_file(path).unwrap();
    }
    assert_eq!(read(&open(dir.path()).unwrap()).unwrap(), 130);
}

#[test]
fn fault_a_missing_journal_is_not_an_empty_store() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), &[3]);
    fs::remove_file(dir.path().join("journal")).unwrap();
    assert!(is_corrupt(&open(dir.path())));
}

#[test]
fn the_journal_is_compacted_under_the_feet_of_other_processes() {
    let dir = tempfile::tempdir().unwrap();
    let options = LocalOptions {
        journal_bytes_max: 1 << 10,
        ..OPTIONS
    };
    let [a, b, c] = [(); 3].map(|()| LocalStore::open(dir.path(), options).unwrap());
    a.create(
        "log",
        Layout {
            partitions: 1,
            compacted: false,
        },
    )
    .unwrap();
    b.create(
        "other",
        Layout {
            partitions: 1,
            compacted: false,
        },
    )
    .unwrap();
    let mut first = a.writer("first", &["log"]).unwrap();
    let mut second = b.writer("second", &["other"]).unwrap();
    let mut reader = c.reader("log", &Offsets::default()).unwrap();
    let mut seen = 0;
    for number in 0..300 {
        first.append("log", 0, record(number)).unwrap();
        first.commit(&number.to_le_bytes()).unwrap();
        second.append("other", 0, record(number)).unwrap();
        second.commit(&number.to_le_bytes()).unwrap();
        assert!(fs::metadata(dir.path().join("journal")).unwrap().len() < 2 << 10);
        for received in reader.poll(Duration::ZERO).unwrap() {
            assert_eq!(received.record, record(seen));
            seen += 1;
        }
        assert_eq!(seen, number + 1, "what is committed is seen at once");
    }
    drop((first, second));
    let reopened = LocalStore::open(dir.path(), options).unwrap();
    for (name, log) in [("first", "log"), ("second", "other")] {
        let writer = reopened.writer(name, &[log]).unwrap();
        assert_eq!(writer.position(), Some(&299u64.to_le_bytes()[..]));
        assert_eq!(reopened.ends(log).unwrap(), Offsets(vec![300]));
    }
}

#[test]
fn writers_of_several_processes_commit_side_by_side() {
    let dir = tempfile::tempdir().unwrap();
    let options = LocalOptions {
        journal_bytes_max: 1 << 10,
        ..OPTIONS
    };
    let open = || LocalStore::open(dir.path(), options).unwrap();
    let logs = ["a", "b", "c"];
    for log in logs {
        open()
            .create(
                log,
                Layout {
                    partitions: 1,
                    compacted: false,
                },
            )
            .unwrap();
    }
    let open = &open;
    std::thread::scope(|scope| {
        for log in logs {
            scope.spawn(move || {
                let store = open();
                let mut writer = store.writer(log, &[log]).unwrap();
                for number in 0..400 {
                    writer.append(log, 0, record(number)).unwrap();
                    writer.commit(&number.to_le_bytes()).unwrap();
                }
            });
            scope.spawn(move || {
                let mut reader = open().reader(log, &Offsets::default()).unwrap();
                let (start, mut seen) = (Instant::now(), 0);
                while seen < 400 {
                    for received in reader.poll(Duration::from_secs(1)).unwrap() {
                        assert_eq!(received.record, record(seen));
                        seen += 1;
                    }
                    assert!(start.elapsed() < Duration::from_secs(60), "{seen} of {log}");
                }
            });
        }
    });
    for log in logs {
        let writer = open().writer(log, &[log]).unwrap();
        assert_eq!(writer.position(), Some(&399u64.to_le_bytes()[..]));
    }
}

/// What the tests below run as another process, told by the environment what to do.
#[test]
fn child() {
    let Ok(task) = std::env::var("RIFFLE_TEST_CHILD") else {
        return;
    };
    let dir = PathBuf::from(std::env::var("RIFFLE_TEST_DIR").unwrap());
    let store = open(&dir).unwrap();
    match task.as_str() {
        "write until killed" => loop {
            write(&store, 3).unwrap();
        },
        "fill the disk" => {
            let error = (0..100_000).find_map(|_| write(&store, 3).err()).unwrap();
            let full = matches!(&error, LogError::Io { source, .. }
                if source.kind() == std::io::ErrorKind::FileTooLarge);
            assert!(full, "{error}");
            assert_eq!(read(&store).unwrap() % 3, 0);
        }
        task => panic!("unknown task {task}"),
    }
}

fn child_command(shell: &str, task: &str, dir: &Path) -> Command {
    let mut command = Command::new("bash");
    command
        .args([
            "-c",
            &format!("{shell} exec \"$0\" --exact child --nocapture"),
        ])
        .arg(std::env::current_exe().unwrap())
        .env("RIFFLE_TEST_CHILD", task)
        .env("RIFFLE_TEST_DIR", dir)
        .stdout(Stdio::null());
    command
}

#[test]
fn fault_a_killed_writer_leaves_whole_commits_and_no_lock() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), &[]);
    let store = open(dir.path()).unwrap();
    for round in 1..=5u64 {
        let mut reader = store.reader("one", &store.ends("one").unwrap()).unwrap();
        let mut child = child_command("", "write until killed", dir.path())
            .spawn()
            .unwrap();
        let (start, mut seen) = (Instant::now(), 0);
        while seen < 200 {
            seen += reader.poll(Duration::from_secs(1)).unwrap().len();
            assert!(start.elapsed() < Duration::from_secs(60), "round {round}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let count = read(&store).unwrap();
        assert!(
            count >= 200 * round && count.is_multiple_of(3),
            "{count} in round {round}"
        );
    }
    write(&store, 1).unwrap();
}

#[test]
fn fault_a_full_disk_is_an_error_and_leaves_whole_commits() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), &[]);
    // A limit on the size of files stands for the disk's end; the journal is the first to meet it.
    let shell = "trap '' XFSZ; ulimit -f 16;";
    let status = child_command(shell, "fill the disk", dir.path())
        .status()
        .unwrap();
    assert!(status.success());
    let store = open(dir.path()).unwrap();
    let count = read(&store).unwrap();
    assert!(count > 0 && count.is_multiple_of(3), "{count}");
    write(&store, 1).unwrap();
    assert_eq!(read(&store).unwrap(), count + 1);
}

//! A group in Kafka: what its shares commit, what is kept when the broker forgets the group, and
//! what dead members leave.
#![allow(clippy::unwrap_used)] // a test that unwraps has failed

#[path = "support/broker.rs"]
#[allow(dead_code, reason = "other tests stop and resume brokers")]
mod broker;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use riffle::log::kafka::{KafkaStore, TopicOptions};
use riffle::log::{Given, Group, Kept, Layout, Offsets, Record, Share, Store};

const PATIENCE: Duration = Duration::from_secs(30);

/// A store with the topics `documents` and `scored` of this name, in so many partitions.
fn open(name: &str, partitions: u16) -> KafkaStore {
    let bootstrap = broker::shared().bootstrap().to_owned();
    let properties = BTreeMap::from([
        ("bootstrap.servers".to_owned(), bootstrap),
        ("session.timeout.ms".to_owned(), "2000".to_owned()),
    ]);
    let store = KafkaStore::new(properties, TopicOptions::default()).unwrap();
    for topic in ["documents", "scored"] {
        let layout = Layout {
            partitions,
            compacted: false,
        };
        store.create(&format!("{name}-{topic}"), layout).unwrap();
    }
    store
}

fn join(store: &KafkaStore, name: &str) -> Box<dyn Group> {
    let (documents, scored) = (format!("{name}-documents"), format!("{name}-scored"));
    let group = store.group(name, &documents, &[&scored]).unwrap();
    group.unwrap()
}

fn share(group: &mut dyn Group) -> Share {
    match group.share(PATIENCE).unwrap() {
        Some(Given::Share(share)) => share,
        Some(Given::Nothing(_)) => panic!("no partition was given"),
        None => panic!("nothing was given in {PATIENCE:?}"),
    }
}

fn record(text: &str) -> Record {
    Record {
        key: Some(text.into()),
        value: Some(text.into()),
        headers: Vec::new(),
    }
}

/// The committed keys of a topic, in the order in which they come.
fn keys(store: &KafkaStore, topic: &str) -> Vec<String> {
    let ends = store.ends(topic).unwrap();
    let mut reader = store.reader(topic, &Offsets::default()).unwrap();
    let (mut keys, start) = (Vec::new(), Instant::now());
    while !reader.offsets().reaches(&ends) {
        assert!(start.elapsed() < PATIENCE, "{topic} is held up");
        let records = reader.poll(Duration::from_millis(100)).unwrap();
        let key = |record: Record| String::from_utf8(record.key.unwrap()).unwrap();
        keys.extend(records.into_iter().map(|it| key(it.record)));
    }
    keys
}

#[test]
fn offsets_commit_with_the_records_and_are_kept_beside_the_group() {
    let store = open("kept", 3);
    let mut group = join(&store, "kept");
    let Share {
        partitions,
        committed,
        mut writer,
        ..
    } = share(group.as_mut());
    assert_eq!((partitions, committed), (vec![0, 1, 2], vec![None; 3]));
    assert_eq!(group.kept().unwrap(), Kept::default());
    writer.append("kept-scored", 1, record("aborted")).unwrap();
    writer.abort().unwrap();
    for (count, text) in (1..).zip(["one", "two"]) {
        writer.append("kept-scored", 1, record(text)).unwrap();
        writer.commit(&Offsets(vec![count, 7, 5 * count])).unwrap();
    }
    writer.append("kept-scored", 1, record("left")).unwrap();
    drop(writer);
    assert_eq!(group.committed().unwrap(), [Some(2), Some(7), Some(10)]);
    assert_eq!(
        share(group.as_mut()).committed,
        [Some(2), Some(7), Some(10)]
    );
    drop(group);
    assert_eq!(keys(&store, "kept-scored"), ["one", "two"]);

    delete_group("riffle-kept");
    let mut group = join(&store, "kept");
    assert_eq!(share(group.as_mut()).committed, [None, None, None]);
    let kept = group.kept().unwrap();
    assert_eq!(kept.offsets, Some(Offsets(vec![2, 7, 10])));
    assert_eq!(kept.alone, None);
}

/// As the broker does it with groups that have had no member for long.
fn delete_group(group: &str) {
    use rdkafka::admin::{AdminClient, AdminOptions};
    use rdkafka::client::DefaultClientContext;
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", broker::shared().bootstrap());
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let mut deleted = Box::pin(admin.delete_groups(&[group], &AdminOptions::new()));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let start = Instant::now();
    loop {
        if let std::task::Poll::Ready(deleted) = deleted.as_mut().poll(&mut context) {
            assert!(deleted.unwrap().iter().all(Result::is_ok));
            return;
        }
        assert!(start.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(10));
    }
}

/// Commits that the partition was read, in a share whose lowest it was.
fn commit_offset(group: &str, topic: &str, partition: u16) {
    use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", broker::shared().bootstrap());
    let consumer: BaseConsumer = config.set("group.id", group).create().unwrap();
    let mut offsets = rdkafka::TopicPartitionList::new();
    let mut element = offsets.add_partition(topic, i32::from(partition));
    element.set_offset(rdkafka::Offset::Offset(0)).unwrap();
    element.set_metadata(partition.to_string());
    consumer.commit(&offsets, CommitMode::Sync).unwrap();
}

#[test]
fn a_writer_that_was_alone_is_shut_out_and_its_position_told() {
    let store = open("alone", 2);
    let mut alone = store.writer("alone", &["alone-scored"]).unwrap();
    alone.append("alone-scored", 0, record("before")).unwrap();
    alone.commit(b"its place").unwrap();
    let mut group = join(&store, "alone");
    let share = share(group.as_mut());
    assert_eq!(share.committed, [None, None]);
    let kept = group.kept().unwrap();
    let told = (kept.offsets, kept.alone.as_deref());
    assert_eq!(told, (None, Some(&b"its place"[..])));
    alone.append("alone-scored", 0, record("after")).unwrap();
    assert!(alone.commit(b"a later place").unwrap_err().is_fatal());
    drop(share);
    assert_eq!(keys(&store, "alone-scored"), ["before"]);
}

#[test]
fn what_dead_members_left_open_ends_when_their_partitions_are_given_to_others() {
    let store = open("dead", 3);
    for partition in [0, 2] {
        // Members write under these names, and their commits say so. Nothing is dropped: a dead
        // process drops nothing.
        let name = format!("dead/p{partition}");
        let mut writer = store.writer(&name, &["dead-scored"]).unwrap();
        writer
            .append("dead-scored", partition, record("open"))
            .unwrap();
        commit_offset("riffle-dead", "dead-documents", partition);
        thread::sleep(Duration::from_millis(500));
        std::mem::forget(writer);
    }
    let mut group = join(&store, "dead");
    let mut share = share(group.as_mut());
    share
        .writer
        .append("dead-scored", 2, record("alive"))
        .unwrap();
    share.writer.commit(&Offsets(vec![1, 1, 1])).unwrap();
    // The broker itself would end them after a minute.
    assert_eq!(keys(&store, "dead-scored"), ["alive"]);
}

#[test]
fn partitions_are_shared_among_the_members_and_all_go_to_the_one_that_stays() {
    let store = open("split", 4);
    let mut first = join(&store, "split");
    let mut all = share(first.as_mut());
    assert_eq!(all.partitions, [0, 1, 2, 3]);
    let second = thread::spawn({
        let store = open("split", 4);
        move || {
            let mut second = join(&store, "split");
            let share = share(second.as_mut());
            (share.partitions.clone(), share, second)
        }
    });
    let start = Instant::now();
    while !all.revoked.load(Ordering::Acquire) {
        assert!(start.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(10));
    }
    // The group waits for what is in hand.
    all.writer
        .append("split-scored", 3, record("in hand"))
        .unwrap();
    all.writer.commit(&Offsets(vec![1, 2, 3, 4])).unwrap();
    drop(all);
    let half = share(first.as_mut());
    let (others, others_share, second) = second.join().unwrap();
    let mut both = [half.partitions.clone(), others].concat();
    both.sort_unstable();
    assert_eq!(both, [0, 1, 2, 3]);
    let offsets =
        |share: &Share| -> Vec<u64> { share.committed.iter().map(|it| it.unwrap()).collect() };
    for share in [&half, &others_share] {
        let expected: Vec<u64> = share.partitions.iter().map(|p| u64::from(p + 1)).collect();
        assert_eq!(offsets(share), expected);
    }
    drop((half, others_share, second));
    // That the second has left is heard of a little later.
    let mut all = share(first.as_mut());
    while all.partitions.len() < 4 {
        assert!(start.elapsed() < 2 * PATIENCE);
        drop(all);
        thread::sleep(Duration::from_millis(50));
        all = share(first.as_mut());
    }
    assert_eq!(all.partitions, [0, 1, 2, 3]);
}

//! After every epoch, whatever came before it, the curated set is what a batch job would select.
//!
//! Random streams of documents run through `score` and `curate` on the log in memory: updates,
//! takedowns, unusable records, several partitions, one and two workers, one process and several,
//! epochs of any size, changed rules, crashes at any operation of the store, and snapshots that are
//! made all the time, used at every start, and break. The oracle sorts the committed prefix.
//! Where a stage samples by density the test makes the codes itself, in the place of `score`.

#![allow(clippy::unwrap_used)] // a test may panic

mod batch;
mod scenario;
mod world;

use std::collections::BTreeMap;

use proptest::prelude::*;
use riffle::log::{Offsets, Position, Received};
use riffle::records::{Scored, field};
use riffle::verify::VerifyError;
use serde_json::Value;

use batch::{Batch, Sample, Seen, batch, decoded, latest, skill_of};
use scenario::{ALL, Arrival, BY_DENSITY, BY_SKILL, Crew, PLAIN, Step, arrival, step};
use world::{
    CURATED, DEAD_LETTERS, DOCUMENTS, LOSSES, LOSSES_LETTERS, MIXTURE, SCORED, STATISTICS, World,
};

/// Checks what is published now against the rules and the place of the last commit.
fn check(world: &World) {
    check_verify(world);
    check_letters(world);
    let (Some(rules), Some((epoch, statistics))) =
        (world.committed_rules(), world.statistics().pop_last())
    else {
        return;
    };
    let (curated, logs) = (world.store.committed(CURATED), Logs::of(world));
    let published = latest(curated.iter().filter(|r| epoch_of(r) <= epoch));
    let expected = batch(&logs.seen(&statistics), rules);
    if expected.shares.is_some() {
        check_skills(world, epoch, &expected);
    }
    let expected = expected.kept;
    assert!(published.keys().eq(expected.keys()));
    for (id, received) in published {
        let curated = json_of(received);
        let scored = Scored::decode(expected[id].record.value.as_deref().unwrap()).unwrap();
        let document: Value = serde_json::from_slice(scored.document).unwrap();
        assert_eq!(curated["text"], document["text"]);
        assert_eq!(curated["riffle"]["perplexity"], scored.perplexity());
    }
    assert_eq!(statistics["curated"], expected.len());
}

/// Checks that `riffle verify` finds so too, whatever is configured when it is asked.
fn check_verify(world: &World) {
    match world.verify() {
        Ok(report) => assert!(report.equal, "{report}"),
        Err(VerifyError::NothingCommitted { .. }) => assert_eq!(world.committed_rules(), None),
        Err(error) => panic!("{error}"),
    }
}

/// Checks every epoch of the run that has just ended, all under the same rules.
fn check_epochs(world: &World, from: u64, rules: usize) {
    let (curated, logs) = (world.store.committed(CURATED), Logs::of(world));
    let mut drawn = Drawn::default();
    let statistics = world.statistics();
    // On start, everything before is drawn again in one epoch.
    for (epoch, statistics) in statistics.range(from.saturating_sub(1)..) {
        let expected = batch(&logs.seen(statistics), rules);
        if let Some(sample) = &expected.sample {
            drawn.follow(sample);
        }
        if *epoch < from {
            continue;
        }
        let published = latest(curated.iter().filter(|r| epoch_of(r) <= *epoch));
        assert!(
            published.keys().eq(expected.kept.keys()),
            "epoch {epoch} under rules {rules}"
        );
        let now = published.iter().filter(|(_, r)| epoch_of(r) == *epoch);
        for (id, received) in now {
            drawn.check(id, &json_of(received)["riffle"]);
        }
        if expected.shares.is_some() {
            check_skills(world, *epoch, &expected);
        }
        if let Some(sample) = &expected.sample {
            let told = world.statistics_of(sample.stage, *epoch).unwrap();
            check_statistics(sample, &told);
        }
    }
}

/// How documents were drawn when they were: their places, densities and weights, by id.
#[derive(Default)]
struct Drawn(BTreeMap<Vec<u8>, (Position, f64, f64)>);

impl Drawn {
    /// Follows the stage into the next epoch: what stays was drawn before.
    fn follow(&mut self, sample: &Sample<'_>) {
        let before = std::mem::take(&mut self.0);
        for (&id, &(position, density)) in &sample.drawn {
            let weight = 1.0 / (1.0 - (-sample.cut / density).exp());
            let new = (position, density, weight);
            let old = before.get(id).filter(|old| old.0 == position);
            self.0.insert(id.to_vec(), *old.unwrap_or(&new));
        }
    }

    /// Checks what a document's admission says of its draw.
    fn check(&self, id: &[u8], measures: &Value) {
        let told = |name: &str| measures[name].as_f64();
        let Some((_, density, weight)) = self.0.get(id) else {
            assert_eq!((told("density"), told("weight")), (None, None));
            return;
        };
        assert_eq!(told("density").unwrap() as f32, *density as f32);
        let error = told("weight").unwrap() / weight - 1.0;
        assert!(error.abs() < 1e-5, "{measures}, not {weight}");
    }
}

fn check_statistics(sample: &Sample<'_>, told: &Value) {
    assert_eq!(told["by"], "density");
    for (name, expected) in [
        ("documents", sample.survivors),
        ("documents_kept", sample.drawn.len()),
        ("documents_counted", sample.counted),
    ] {
        assert_eq!(told[name], expected, "{name}");
    }
    assert_eq!(
        told["density_histogram"],
        Value::from(sample.histogram.clone())
    );
    let cells = told["effective_cells"].as_f64().unwrap();
    assert!((cells - sample.effective_cells).abs() < 0.01, "{told}");
    let cut = told["cut"].as_f64().unwrap_or(f64::INFINITY);
    assert!(cut == sample.cut || (cut / sample.cut - 1.0).abs() < 1e-12);
}

fn json_of(received: &Received) -> Value {
    serde_json::from_slice(received.record.value.as_deref().unwrap()).unwrap()
}

/// What is committed in the logs that curate reads.
struct Logs {
    scored: Vec<Received>,
    losses: Vec<Received>,
}

impl Logs {
    fn of(world: &World) -> Self {
        Logs {
            scored: world.store.committed(SCORED),
            losses: world.store.committed(LOSSES),
        }
    }

    /// What was seen up to an epoch's end.
    fn seen(&self, statistics: &Value) -> Seen<'_> {
        let offsets = |name: &str| {
            statistics
                .get(name)
                .map(|it| serde_json::from_value(it.clone()))
        };
        Seen {
            scored: &self.scored,
            offsets: offsets("scored_offsets").unwrap().unwrap(),
            losses: &self.losses,
            losses_offsets: offsets("losses_offsets").map_or(Offsets::start(1), Result::unwrap),
        }
    }
}

/// Checks the mixture and the statistics by skill after an epoch.
fn check_skills(world: &World, epoch: u64, expected: &Batch<'_>) {
    let mixture = &world.told(MIXTURE, epoch)["mixture"]["skills"];
    for (skill, weight) in expected.shares.as_ref().unwrap() {
        let share = mixture[skill].as_f64().unwrap();
        assert_eq!(
            (share * 1e9).round() as u64,
            *weight,
            "epoch {epoch}: {mixture}"
        );
    }
    let told = world.told(STATISTICS, epoch);
    let told: Vec<&Value> = told
        .iter()
        .filter(|(key, _)| key.starts_with("skill"))
        .map(|(_, value)| value)
        .collect();
    let mut documents = [0, 0];
    for value in &told {
        for (n, (of, set)) in [("live", &expected.live), ("curated", &expected.kept)]
            .iter()
            .enumerate()
        {
            let skill = value["skill"].as_str();
            let scored = set.values().map(|received| decoded(received));
            let of_skill: Vec<_> = scored
                .filter(|it| skill_of(it).as_deref() == skill)
                .collect();
            let tokens: u64 = of_skill.iter().map(|it| u64::from(it.tokens)).sum();
            let nll: f64 = of_skill.iter().map(|it| it.nll_nats()).sum();
            assert_eq!(value[of]["documents"], of_skill.len());
            assert_eq!(value[of]["tokens"], tokens);
            let error = value[of]["nll_nats"].as_f64().unwrap() - nll;
            assert!(error.abs() < 1e-5, "{value}, not {nll}");
            documents[n] += of_skill.len();
        }
    }
    assert_eq!(documents, [expected.live.len(), expected.kept.len()]);
}

/// Every record of the losses that is no report is a dead letter once, with its place; and once more
/// where the losses were not read in between and then read again from their beginning.
fn check_letters(world: &World) {
    let losses = world.store.committed(LOSSES);
    let is_none = |it: &&Received| it.record.key.as_deref() == Some(b"none");
    let malformed: Vec<&Received> = losses.iter().filter(is_none).collect();
    let (mut expected, mut read) = (Vec::new(), 0);
    for statistics in world.statistics().values() {
        let offsets = statistics.get("losses_offsets");
        let end = offsets.map_or(0, |it| it[0].as_u64().unwrap());
        let places = malformed.iter().map(|it| it.position.offset());
        expected.extend(places.filter(|place| (read..end).contains(place)));
        read = end;
    }
    let letters = world.store.committed(LOSSES_LETTERS);
    let header = |letter: &Received, name: &str| {
        let mut headers = letter.record.headers.iter();
        let (_, value) = headers.find(|(it, _)| it == name).unwrap();
        String::from_utf8(value.clone()).unwrap()
    };
    let place = |letter: &Received| header(letter, "offset").parse().unwrap();
    let found: Vec<u64> = letters.iter().map(place).collect();
    assert_eq!(found, expected);
    for letter in &letters {
        assert_eq!(header(letter, "topic"), LOSSES);
        assert_eq!(letter.record.value, malformed[0].record.value);
        let reason = header(letter, "reason");
        assert!(reason.contains("needs"), "{reason}");
    }
}

fn epoch_of(received: &Received) -> u64 {
    let (name, value) = &received.record.headers[0];
    assert_eq!(name, "riffle-epoch");
    std::str::from_utf8(value).unwrap().parse().unwrap()
}

/// Every usable arrival is in the scored log, in order, and every other is a dead letter.
fn check_scored(world: &World) {
    let usable = |r: &Received| {
        let Some(key) = &r.record.key else {
            return false;
        };
        let Some(value) = &r.record.value else {
            return true;
        };
        let id = field(value, "id").map(|id| id.as_str().unwrap().as_bytes().to_vec());
        id.as_ref() == Some(key) && field(value, "metadata.perplexity").is_some()
    };
    let arrived = world.store.committed(DOCUMENTS);
    let scored = world.store.committed(SCORED);
    for partition in 0..world.partitions {
        let of = |records: &[Received]| -> Vec<Received> {
            records
                .iter()
                .filter(|r| r.position.partition() == partition)
                .cloned()
                .collect()
        };
        let expected: Vec<_> = of(&arrived).into_iter().filter(|r| usable(r)).collect();
        let found = of(&scored);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.record.key, expected.record.key);
            let value = found.record.value.as_deref();
            let document = value.map(|value| Scored::decode(value).unwrap().document);
            assert_eq!(document, expected.record.value.as_deref());
        }
    }
    let letters = world.store.committed(DEAD_LETTERS);
    assert_eq!(letters.len() + scored.len(), arrived.len());
}

fn cases(default: u32) -> ProptestConfig {
    let cases = std::env::var("RIFFLE_TEST_CASES")
        .ok()
        .and_then(|n| n.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(default),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Plays the steps; after each run of curate, what is published is the batch result.
fn play(world: &mut World, steps: Vec<Step>) {
    for step in steps {
        match step {
            Step::Arrive(arrivals) => world.arrive(&arrivals),
            Step::Score(crash) => world.score(crash),
            Step::Curate { crew, rules, crash } => {
                world.curate(crew, rules, crash);
                check(world);
            }
            Step::Damage(damage) => world.damage(&damage),
        }
    }
    world.score(None);
    world.curate(Crew::of(1), 0, None);
    check(world);
    let anything = !world.store.committed(SCORED).is_empty();
    assert_eq!(world.committed_rules(), anything.then_some(0));
}

/// Feeds, scores and curates in parts, with a restart between them; checks every single epoch.
fn follow(world: &mut World, crew: Crew, rules: usize, arrivals: &[Arrival]) {
    for part in arrivals.chunks(70) {
        world.arrive(part);
        world.score(None);
        let from = world.next_epoch();
        world.curate(crew, rules, None);
        check_epochs(world, from, rules);
    }
}

proptest! {
    #![proptest_config(cases(150))]

    /// Crashes and restarts anywhere, rules that change: the published set is the batch result.
    #[test]
    fn model_the_published_set_is_the_batch_result_after_any_crash(
        partitions in 1..4u16,
        poll_records_max in 1..40usize,
        steps in prop::collection::vec(step(PLAIN), 1..12),
        snapshot_records_min in 1..60u64,
    ) {
        let mut world = World::new(partitions, poll_records_max, false);
        world.snapshot_records_min = snapshot_records_min;
        play(&mut world, steps);
        check_scored(&world);
    }

    /// The same with stages by density and by skills among the rules, so that codes and losses are
    /// read and not read.
    #[test]
    fn model_a_sample_by_density_is_the_batch_result_after_any_crash(
        partitions in 1..4u16,
        poll_records_max in 1..40usize,
        steps in prop::collection::vec(step(ALL), 1..12),
        snapshot_records_min in 1..60u64,
    ) {
        let mut world = World::new(partitions, poll_records_max, true);
        world.snapshot_records_min = snapshot_records_min;
        play(&mut world, steps);
    }

    /// Without crashes, every single epoch is checked.
    #[test]
    fn oracle_every_epoch_equals_the_batch_selection(
        partitions in 1..3u16,
        poll_records_max in 1..20usize,
        rules in PLAIN,
        workers in 1..3usize,
        arrivals in prop::collection::vec(arrival(), 1..200),
    ) {
        let mut world = World::new(partitions, poll_records_max, false);
        follow(&mut world, Crew::of(workers), rules, &arrivals);
    }

    /// Density is chained behind perplexity and before it, at random behind it and before it.
    #[test]
    fn oracle_every_epoch_equals_the_batch_sample_by_density(
        partitions in 1..3u16,
        poll_records_max in 1..20usize,
        rules in BY_DENSITY,
        workers in 1..3usize,
        arrivals in prop::collection::vec(arrival(), 1..200),
    ) {
        let mut world = World::new(partitions, poll_records_max, true);
        follow(&mut world, Crew::of(workers), rules, &arrivals);
    }

    /// Skills follow a mixture that follows a trainer's reports, behind perplexity and density.
    #[test]
    fn oracle_every_epoch_equals_the_batch_selection_by_skills(
        partitions in 1..3u16,
        poll_records_max in 1..20usize,
        rules in BY_SKILL,
        workers in 1..3usize,
        arrivals in prop::collection::vec(arrival(), 1..200),
    ) {
        let mut world = World::new(partitions, poll_records_max, true);
        follow(&mut world, Crew::of(workers), rules, &arrivals);
    }
}

proptest! {
    #![proptest_config(cases(16))]

    /// Workers in several processes, under any rules: what passes between them arrives as it was.
    #[test]
    fn oracle_every_epoch_of_several_processes_equals_the_batch_selection(
        partitions in 1..3u16,
        poll_records_max in 1..20usize,
        rules in ALL,
        processes in 2..4usize,
        workers in 1..3usize,
        arrivals in prop::collection::vec(arrival(), 1..200),
    ) {
        let mut world = World::new(partitions, poll_records_max, true);
        follow(&mut world, Crew { processes, workers }, rules, &arrivals);
    }
}

/// Documents and a takedown, in three partitions.
fn arrivals() -> Vec<Arrival> {
    let document = |n: u8| Arrival::Document(n % 40, 1 + n % 11, 1 + u16::from(n % 49), n % 3);
    let documents = (0..120).map(document);
    documents.chain([Arrival::Takedown(3)]).collect()
}

/// How many operations of the store a start takes that finds nothing new.
fn operations(world: &mut World, workers: usize, rules: usize) -> u64 {
    world.curate(Crew::of(workers), rules, None);
    check(world);
    world.operations
}

/// Without this, the tests above could pass because no snapshot is ever used.
#[test]
fn a_start_reads_the_snapshot_in_the_place_of_the_log_before_it() {
    for (rules, workers) in [(0, 1), (5, 2), (8, 2), (12, 1), (15, 2)] {
        let mut world = World::new(3, 1, true);
        world.arrive(&arrivals());
        world.score(None);
        world.curate(Crew::of(workers), rules, None);
        assert!(!world.snapshot_files().is_empty());
        let with = operations(&mut world, workers, rules);
        for path in world.snapshot_files() {
            std::fs::remove_file(path).unwrap();
        }
        let without = operations(&mut world, workers, rules);
        let scored = world.store.committed(SCORED).len() as u64;
        assert!(
            with + scored <= without + 10,
            "{with} and {without} operations"
        );
    }
}

/// Other rates, and fewer fields to group by: the old rules and the new ones begin with it.
#[test]
fn changed_rules_begin_with_the_snapshot_where_the_reading_allows() {
    for (before, after, both) in [(1, 0, true), (0, 3, true), (0, 1, false), (0, 7, false)] {
        let mut world = World::new(3, 1, true);
        world.arrive(&arrivals());
        world.score(None);
        world.curate(Crew::of(1), before, None);
        let files = world.snapshot_files();
        world.curate(Crew::of(1), after, None);
        check(&world);
        let with = world.operations;
        let scored = world.store.committed(SCORED).len() as u64;
        assert!(scored > 100 && !files.is_empty());
        // What is published takes operations too, less than twice for each document.
        let read = if both { 0 } else { scored };
        assert!(
            with >= read && with < read + 160,
            "{before} to {after}: {with} operations"
        );
    }
}

/// The disk has no room for snapshots, or is not ours: nobody but the log is needed.
#[test]
fn fault_without_a_directory_for_snapshots_the_stream_goes_on() {
    let mut world = World::new(2, 5, false);
    world.snapshots_dir = world.snapshots_dir.join("file");
    std::fs::write(&world.snapshots_dir, b"in the way").unwrap();
    world.arrive(&arrivals());
    world.score(None);
    for _ in 0..2 {
        world.curate(Crew::of(1), 0, None);
        check(&world);
    }
    assert!(world.committed_rules().is_some());
}

/// Whoever deletes the outputs begins anew: snapshots of the time before must not be taken up.
#[test]
fn without_a_commit_snapshots_are_of_another_time() {
    let mut old = World::new(1, 50, false);
    old.arrive(&arrivals());
    old.score(None);
    old.curate(Crew::of(1), 0, None);
    assert!(!old.snapshot_files().is_empty());
    let mut anew = World::new(1, 50, false);
    anew.snapshots_dir = old.snapshots_dir.clone();
    let mut arrivals = arrivals();
    arrivals.reverse();
    anew.arrive(&arrivals[..60]);
    anew.score(None);
    anew.curate(Crew::of(1), 0, None);
    check(&anew);
    anew.arrive(&arrivals[60..]);
    anew.score(None);
    anew.curate(Crew::of(2), 0, None);
    check(&anew);
}

//! Groups of a memory store: generations, members that are put out, and offsets that are pending
//! until their transaction ends, as Kafka has them. When partitions change hands is the test's.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::Shared;
use super::state::{State, unavailable};
use crate::log::{Given, Group, Kept, LogError, Offsets, Record, Result, Share, ShareWriter};

/// The groups of a store by name.
#[derive(Default)]
pub struct Groups(BTreeMap<String, GroupState>);

impl Groups {
    /// The group of this name, whose log has so many partitions.
    pub fn of(&mut self, name: &str, partitions: usize) -> &mut GroupState {
        let group = self.0.entry(name.to_owned()).or_default();
        group.offsets.resize(partitions, None);
        group
    }

    /// Moves the offsets as a committed transaction has it.
    pub fn apply(&mut self, pending: Pending) {
        let group = self.0.entry(pending.group).or_default();
        let first = pending.offsets.first().map_or(0, |(first, _)| *first);
        let start = Offsets::start(group.offsets.len() as u16);
        let kept = group.kept.get_or_insert(start);
        for (partition, offset) in pending.offsets {
            group.offsets[usize::from(partition)] = Some(offset);
            kept.0[usize::from(partition)] = offset;
            group.writers.insert(partition, first);
        }
    }
}

/// Offsets in a transaction that has not ended.
pub struct Pending {
    group: String,
    offsets: Vec<(u16, u64)>,
}

impl Pending {
    /// Whether the group's offset of this partition is among them.
    pub fn moves(&self, group: &str, partition: u16) -> bool {
        self.group == group && self.offsets.iter().any(|(it, _)| *it == partition)
    }
}

/// A group: who is in it, who has which partitions, and how far they were read.
#[derive(Default)]
pub struct GroupState {
    members: BTreeMap<u64, MemberState>,
    joined: u64,
    generation: u64,
    /// What members had that were put out and do not know it.
    unheard: Vec<Arc<AtomicBool>>,
    /// How far each partition was read.
    pub offsets: Vec<Option<u64>>,
    /// The lowest partition of the share that each partition was last read in.
    writers: BTreeMap<u16, u16>,
    /// The same as `offsets`, when those are forgotten.
    pub kept: Option<Offsets>,
}

#[derive(Default)]
struct MemberState {
    process: usize,
    assigned: Option<Assigned>,
    held: bool,
}

#[derive(Clone)]
struct Assigned {
    generation: u64,
    partitions: Vec<u16>,
    revoked: Arc<AtomicBool>,
}

impl GroupState {
    /// A new member, which is given partitions when they are shared out next.
    pub fn join(&mut self, process: usize) -> u64 {
        self.joined += 1;
        let member = MemberState {
            process,
            ..MemberState::default()
        };
        self.members.insert(self.joined, member);
        self.joined
    }

    /// Asks all members for what they have; puts out the dead, and the deaf that have something,
    /// which hear of it the next time, as of a failing heartbeat. Returns how many were put out.
    pub fn revoke(&mut self, dead: &[bool], deaf: impl Fn(usize) -> bool) -> usize {
        for unheard in std::mem::take(&mut self.unheard) {
            unheard.store(true, Ordering::Release);
        }
        let count = self.members.len();
        let members = std::mem::take(&mut self.members);
        for (number, (id, mut member)) in members.into_iter().enumerate() {
            let revoked = member.assigned.take().map(|it| it.revoked);
            if dead[member.process] || member.held && deaf(number) {
                self.unheard.extend(revoked);
                continue;
            }
            if let Some(revoked) = revoked {
                revoked.store(true, Ordering::Release);
            }
            self.members.insert(id, member);
        }
        count - self.members.len()
    }

    /// Whether a member that was asked still has something.
    pub fn is_held(&self) -> bool {
        self.members.values().any(|member| member.held)
    }

    /// Puts out who still has something, and gives each partition to one of the others. Returns how
    /// many were put out.
    pub fn share_out(&mut self, pick: &mut impl FnMut(usize) -> usize) -> usize {
        self.generation += 1;
        let count = self.members.len();
        self.members.retain(|_, member| !member.held);
        let mut shares = vec![Vec::new(); self.members.len()];
        if !shares.is_empty() {
            for partition in 0..self.offsets.len() as u16 {
                shares[pick(self.members.len())].push(partition);
            }
        }
        for (member, partitions) in self.members.values_mut().zip(shares) {
            member.assigned = Some(Assigned {
                generation: self.generation,
                partitions,
                revoked: Arc::default(),
            });
        }
        count - self.members.len()
    }

    fn is_of(&self, member: u64, generation: u64) -> bool {
        generation == self.generation && self.members.contains_key(&member)
    }
}

impl State {
    /// The group, which somebody has joined.
    pub fn group(&mut self, name: &str) -> &mut GroupState {
        let groups = self.groups.get_or_insert_default();
        groups.0.entry(name.to_owned()).or_default()
    }
}

/// A member of a group.
pub struct MemoryGroup {
    shared: Arc<Shared>,
    process: usize,
    name: String,
    outputs: Vec<String>,
    member: u64,
}

impl MemoryGroup {
    /// This member of the group.
    pub fn new(
        shared: Arc<Shared>,
        process: usize,
        name: &str,
        outputs: Vec<String>,
        member: u64,
    ) -> Self {
        MemoryGroup {
            shared,
            process,
            name: name.to_owned(),
            outputs,
            member,
        }
    }

    /// What the member has been given, for use; joins anew after having been put out.
    fn hold(&mut self, timeout: Duration) -> Result<Option<Assigned>> {
        let deadline = Instant::now() + timeout;
        loop {
            let mut state = self.shared.state_for(self.process);
            state.check_alive(self.process)?;
            let group = state.group(&self.name);
            match group.members.get_mut(&self.member) {
                None => self.member = group.join(self.process),
                Some(member) if member.held => {}
                Some(member) => {
                    if let Some(assigned) = &member.assigned {
                        member.held = !assigned.partitions.is_empty();
                        return Ok(Some(assigned.clone()));
                    }
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Starts the writers of these partitions; what others left open there ends. The generation of
    /// the first.
    fn start(&self, partitions: &[u16]) -> Result<u64> {
        let mut first = None;
        for partition in partitions {
            let name = writer_of(&self.name, *partition);
            let start = |state: &mut State| Ok(state.open_writer(&name).0);
            let generation = self.shared.operate(self.process, start)?;
            first.get_or_insert(generation);
        }
        Ok(first.unwrap_or_default())
    }

    /// How far the partitions were read, with what others left open in them ended, as Kafka's
    /// groups do it.
    fn take_over(&self, partitions: &[u16]) -> Result<Vec<Option<u64>>> {
        let Ok(committed) = self.committed_of(partitions) else {
            self.start(&partitions[1..])?;
            return self.committed_of(partitions);
        };
        let in_use = self.shared.operate(self.process, |state| {
            let writers = &state.group(&self.name).writers;
            let others = partitions.iter().skip(1).copied();
            Ok(others
                .filter(|p| writers.get(p) == Some(p))
                .collect::<Vec<_>>())
        })?;
        self.start(&in_use)?;
        Ok(committed)
    }

    fn committed_of(&self, partitions: &[u16]) -> Result<Vec<Option<u64>>> {
        self.shared.operate(self.process, |state| {
            if partitions.iter().any(|p| state.is_pending(&self.name, *p)) {
                return Err(unavailable("a transaction has not ended"));
            }
            let offsets = &state.group(&self.name).offsets;
            Ok(partitions
                .iter()
                .map(|p| offsets[usize::from(*p)])
                .collect())
        })
    }
}

fn writer_of(group: &str, partition: u16) -> String {
    format!("{group}/p{partition}")
}

impl Group for MemoryGroup {
    fn share(&mut self, timeout: Duration) -> Result<Option<Given>> {
        let Some(assigned) = self.hold(timeout)? else {
            return Ok(None);
        };
        let (partitions, revoked) = (assigned.partitions.clone(), Arc::clone(&assigned.revoked));
        if partitions.is_empty() {
            return Ok(Some(Given::Nothing(revoked)));
        }
        let mut writer = MemoryShareWriter {
            shared: Arc::clone(&self.shared),
            process: self.process,
            group: self.name.clone(),
            outputs: self.outputs.clone(),
            member: self.member,
            name: writer_of(&self.name, partitions[0]),
            assigned,
            writer: 0,
        };
        writer.writer = self.start(&partitions[..1])?;
        let committed = self.take_over(&partitions)?;
        Ok(Some(Given::Share(Share {
            partitions,
            committed,
            revoked,
            writer: Box::new(writer),
        })))
    }

    fn committed(&mut self) -> Result<Vec<Option<u64>>> {
        let partitions = self.shared.state().group(&self.name).offsets.len() as u16;
        self.committed_of(&(0..partitions).collect::<Vec<_>>())
    }

    fn kept(&mut self) -> Result<Kept> {
        self.shared.operate(self.process, |state| {
            let alone = state.position(&self.name);
            let group = state.group(&self.name);
            Ok(Kept {
                offsets: group.kept.clone(),
                alone,
            })
        })
    }
}

impl Drop for MemoryGroup {
    /// Leaves the group, unless the process has crashed.
    fn drop(&mut self) {
        let mut state = self.shared.state_for(self.process);
        if state.check_alive(self.process).is_ok() {
            state.group(&self.name).members.remove(&self.member);
        }
    }
}

/// Writes for a share.
struct MemoryShareWriter {
    shared: Arc<Shared>,
    process: usize,
    group: String,
    outputs: Vec<String>,
    member: u64,
    name: String,
    assigned: Assigned,
    /// The generation of the writer of this name, apart from the group's.
    writer: u64,
}

impl ShareWriter for MemoryShareWriter {
    fn append(&mut self, log: &str, partition: u16, record: Record) -> Result<()> {
        if !self.outputs.iter().any(|known| known == log) {
            return Err(LogError::Missing {
                log: log.to_owned(),
                store: "memory".to_owned(),
            });
        }
        self.shared.operate(self.process, |state| {
            state.check_generation(&self.name, self.writer)?;
            state.append(&self.name, log, partition, record)
        })
    }

    /// In two operations, as on Kafka: partitions may change hands between them.
    fn commit(&mut self, offsets: &Offsets) -> Result<()> {
        let here = self.assigned.partitions.iter();
        let pending = Pending {
            group: self.group.clone(),
            offsets: here.map(|p| (*p, offsets.0[usize::from(*p)])).collect(),
        };
        self.shared.operate(self.process, |state| {
            state.check_generation(&self.name, self.writer)?;
            let group = state.group(&self.group);
            if !group.is_of(self.member, self.assigned.generation) {
                state.abort(&self.name);
                return Err(LogError::Fenced {
                    writer: self.name.clone(),
                });
            }
            state.append_offsets(&self.name, pending);
            Ok(())
        })?;
        self.shared.operate(self.process, |state| {
            state.check_generation(&self.name, self.writer)?;
            state.commit_offsets(&self.name);
            Ok(())
        })
    }

    fn abort(&mut self) -> Result<()> {
        self.shared.operate(self.process, |state| {
            state.check_generation(&self.name, self.writer)?;
            state.abort(&self.name);
            Ok(())
        })
    }
}

impl Drop for MemoryShareWriter {
    /// Abandons what is open and gives the share back, unless the process has crashed.
    fn drop(&mut self) {
        let mut state = self.shared.state_for(self.process);
        if state.check_alive(self.process).is_err() {
            return;
        }
        if state.check_generation(&self.name, self.writer).is_ok() {
            state.abort(&self.name);
        }
        if let Some(member) = state.group(&self.group).members.get_mut(&self.member) {
            member.held = false;
        }
        drop(state);
        self.shared.changed.notify_all();
    }
}

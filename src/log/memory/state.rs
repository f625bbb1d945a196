//! What the model remembers: logs of slots, transactions, writers and the planned crash.

use std::collections::{BTreeMap, BTreeSet};

use super::group::{Groups, Pending};
use crate::log::{Layout, LogError, Offsets, Position, Received, Record, Result};

/// On which side of an operation's effect a planned crash strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The operation has no effect.
    Before,
    /// The operation takes effect, and nobody hears of it.
    After,
}

/// What occupies an offset.
enum Slot {
    /// A record of the transaction.
    Record(usize, Record),
    /// The mark that ends a transaction in a partition.
    Mark,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transaction {
    Open,
    Committed,
    Aborted,
}

#[derive(Default)]
struct WriterState {
    generation: u64,
    position: Option<Vec<u8>>,
    open: Option<Open>,
}

/// A transaction that has not ended.
struct Open {
    transaction: usize,
    /// Where it has records, and gets a mark when it ends.
    written: BTreeSet<(String, u16)>,
    /// What becomes of a group's offsets when it is committed.
    pending: Option<Pending>,
}

/// Everything in a memory store.
pub struct State {
    logs: BTreeMap<String, Vec<Vec<Slot>>>,
    transactions: Vec<Transaction>,
    writers: BTreeMap<String, WriterState>,
    processes: Vec<Process>,
    /// The groups by name; `None` where there are to be none.
    pub groups: Option<Groups>,
    /// What polls return at most.
    pub poll_records_max: usize,
}

/// Whose handles live and die together.
#[derive(Default)]
struct Process {
    operations: u64,
    crash: Option<(u64, Side)>,
    failure: Option<u64>,
    dead: bool,
    paused: bool,
}

impl Default for State {
    fn default() -> Self {
        State {
            logs: BTreeMap::new(),
            transactions: Vec::new(),
            writers: BTreeMap::new(),
            processes: vec![Process::default()],
            groups: None,
            poll_records_max: 1000,
        }
    }
}

/// Processes, operations and crashes.
impl State {
    pub fn plan_crash(&mut self, process: usize, operation: u64, side: Side) {
        let process = &mut self.processes[process];
        process.crash = Some((process.operations + operation, side));
    }

    pub fn plan_failure(&mut self, process: usize, operation: u64) {
        let process = &mut self.processes[process];
        process.failure = Some(process.operations + operation);
    }

    pub fn operations(&self, process: usize) -> u64 {
        self.processes[process].operations
    }

    pub fn set_paused(&mut self, process: usize, paused: bool) {
        self.processes[process].paused = paused;
    }

    pub fn is_paused(&self, process: usize) -> bool {
        let process = &self.processes[process];
        process.paused && !process.dead
    }

    /// A process beside the others.
    pub fn fork(&mut self) -> usize {
        self.processes.push(Process::default());
        self.processes.len() - 1
    }

    /// The one process that lives from now on.
    pub fn reopen(&mut self) -> usize {
        self.processes.iter_mut().for_each(|it| it.dead = true);
        self.fork()
    }

    /// Of each process, whether it is over.
    pub fn dead(&self) -> Vec<bool> {
        self.processes.iter().map(|it| it.dead).collect()
    }

    /// Whether handles of the process still work.
    pub fn check_alive(&self, process: usize) -> Result<()> {
        match self.processes[process].dead {
            true => Err(LogError::Crash),
            false => Ok(()),
        }
    }

    pub fn operate<T>(
        &mut self,
        process: usize,
        operation: impl FnOnce(&mut State) -> Result<T>,
    ) -> Result<T> {
        self.check_alive(process)?;
        let it = &mut self.processes[process];
        it.operations += 1;
        if it.failure == Some(it.operations) {
            return Err(unavailable("planned failure"));
        }
        let crash = it.crash.filter(|(at, _)| *at == it.operations);
        it.dead = crash.is_some();
        match crash {
            None => operation(self),
            Some((_, Side::Before)) => Err(LogError::Crash),
            Some((_, Side::After)) => {
                operation(self)?;
                Err(LogError::Crash)
            }
        }
    }
}

/// What passes by itself.
pub fn unavailable(reason: &str) -> LogError {
    LogError::Unavailable {
        brokers: "memory".to_owned(),
        reason: reason.to_owned(),
    }
}

/// Reading.
impl State {
    pub fn partitions(&self, log: &str) -> Option<u16> {
        self.logs.get(log).map(|partitions| partitions.len() as u16)
    }

    pub fn ends(&self, log: &str) -> Result<Offsets> {
        let ends = self
            .log(log)?
            .iter()
            .map(|partition| partition.len() as u64);
        Ok(Offsets(ends.collect()))
    }

    /// Where a reader from these offsets on begins.
    pub fn start(&self, log: &str, from: &Offsets) -> Result<Offsets> {
        let ends = self.ends(log)?;
        let mut offsets = Offsets::start(ends.0.len() as u16);
        for (partition, (offset, from)) in (0..).zip(offsets.0.iter_mut().zip(&from.0)) {
            if *from > ends.0[usize::from(partition)] && *from != Offsets::ELSEWHERE {
                let position = Position::new(partition, *from);
                return Err(LogError::Gone {
                    log: log.to_owned(),
                    position,
                });
            }
            *offset = *from;
        }
        Ok(offsets)
    }

    /// The committed records before the first open one, and the offsets behind them.
    pub fn read(&self, log: &str, offsets: &Offsets) -> Result<(Vec<Received>, Offsets)> {
        let (mut records, mut offsets) = (Vec::new(), offsets.clone());
        for (number, partition) in (0..).zip(self.log(log)?) {
            let next = &mut offsets.0[usize::from(number)];
            for slot in partition.iter().skip(*next as usize) {
                let record = self.visible(slot);
                let full = records.len() == self.poll_records_max && record.is_some();
                if full || self.is_open(slot) {
                    break;
                }
                let position = Position::new(number, *next);
                records.extend(record.map(|r| Received {
                    position,
                    record: r.clone(),
                }));
                *next += 1;
            }
        }
        Ok((records, offsets))
    }

    /// The committed record at the position.
    pub fn get(&self, log: &str, position: Position) -> Result<Record> {
        let partition = self.log(log)?.get(usize::from(position.partition()));
        let slot = partition.and_then(|slots| slots.get(position.offset() as usize));
        let gone = || LogError::Gone {
            log: log.to_owned(),
            position,
        };
        slot.and_then(|slot| self.visible(slot))
            .cloned()
            .ok_or_else(gone)
    }

    pub fn committed(&self, log: &str) -> Vec<Received> {
        let mut records = Vec::new();
        for (number, partition) in (0..).zip(self.logs.get(log).into_iter().flatten()) {
            for (offset, slot) in (0..).zip(partition) {
                let position = Position::new(number, offset);
                records.extend(self.visible(slot).map(|r| Received {
                    position,
                    record: r.clone(),
                }));
            }
        }
        records
    }

    fn log(&self, log: &str) -> Result<&Vec<Vec<Slot>>> {
        let missing = || LogError::Missing {
            log: log.to_owned(),
            store: "memory".to_owned(),
        };
        self.logs.get(log).ok_or_else(missing)
    }

    fn visible<'a>(&self, slot: &'a Slot) -> Option<&'a Record> {
        match slot {
            Slot::Record(transaction, record) => {
                (self.transactions[*transaction] == Transaction::Committed).then_some(record)
            }
            Slot::Mark => None,
        }
    }

    fn is_open(&self, slot: &Slot) -> bool {
        let Slot::Record(transaction, _) = slot else {
            return false;
        };
        self.transactions[*transaction] == Transaction::Open
    }
}

/// Writing.
impl State {
    pub fn create(&mut self, log: &str, layout: Layout) -> u16 {
        let partitions = || (0..layout.partitions.max(1)).map(|_| Vec::new()).collect();
        self.logs
            .entry(log.to_owned())
            .or_insert_with(partitions)
            .len() as u16
    }

    /// Fences the predecessor of this name, aborts what it left open.
    pub fn open_writer(&mut self, name: &str) -> (u64, Option<Vec<u8>>) {
        self.end_transaction(name, Transaction::Aborted);
        let writer = self.writers.entry(name.to_owned()).or_default();
        writer.generation += 1;
        (writer.generation, writer.position.clone())
    }

    /// The position of the writer's last commit.
    pub fn position(&self, name: &str) -> Option<Vec<u8>> {
        self.writers.get(name)?.position.clone()
    }

    pub fn check_generation(&self, name: &str, generation: u64) -> Result<()> {
        let current = self.writers.get(name).map_or(0, |writer| writer.generation);
        let fenced = || LogError::Fenced {
            writer: name.to_owned(),
        };
        if current == generation {
            Ok(())
        } else {
            Err(fenced())
        }
    }

    pub fn append(&mut self, name: &str, log: &str, partition: u16, record: Record) -> Result<()> {
        self.partition(log, partition)?;
        let open = self.open(name);
        open.written.insert((log.to_owned(), partition));
        let transaction = open.transaction;
        self.partition(log, partition)?
            .push(Slot::Record(transaction, record));
        Ok(())
    }

    /// Puts what becomes of a group's offsets into the transaction.
    pub fn append_offsets(&mut self, name: &str, pending: Pending) {
        self.open(name).pending = Some(pending);
    }

    /// Whether a transaction that has not ended will move the group's offset of a partition.
    pub fn is_pending(&self, group: &str, partition: u16) -> bool {
        let open = self.writers.values().filter_map(|it| it.open.as_ref());
        open.filter_map(|open| open.pending.as_ref())
            .any(|pending| pending.moves(group, partition))
    }

    /// Commits the writer's open transaction, which says itself how far a group has read.
    pub fn commit_offsets(&mut self, name: &str) {
        self.end_transaction(name, Transaction::Committed);
    }

    /// The writer's open transaction.
    fn open(&mut self, name: &str) -> &mut Open {
        let writer = self.writers.entry(name.to_owned()).or_default();
        let transactions = &mut self.transactions;
        writer.open.get_or_insert_with(|| {
            transactions.push(Transaction::Open);
            Open {
                transaction: transactions.len() - 1,
                written: BTreeSet::new(),
                pending: None,
            }
        })
    }

    pub fn commit(&mut self, name: &str, position: &[u8]) {
        self.end_transaction(name, Transaction::Committed);
        let writer = self.writers.entry(name.to_owned()).or_default();
        writer.position = Some(position.to_vec());
    }

    pub fn abort(&mut self, name: &str) {
        self.end_transaction(name, Transaction::Aborted);
    }

    pub fn produce(&mut self, log: &str, partition: u16, records: Vec<Record>) -> Result<()> {
        let transaction = self.transactions.len();
        let slots = self.partition(log, partition)?;
        slots.extend(
            records
                .into_iter()
                .map(|record| Slot::Record(transaction, record)),
        );
        self.transactions.push(Transaction::Committed);
        Ok(())
    }

    fn partition(&mut self, log: &str, partition: u16) -> Result<&mut Vec<Slot>> {
        let partitions = self.log(log)?.len() as u16;
        let none = LogError::NoPartition {
            log: log.to_owned(),
            partition,
            partitions,
        };
        let slots = self
            .logs
            .get_mut(log)
            .and_then(|p| p.get_mut(usize::from(partition)));
        slots.ok_or(none)
    }

    /// Ends what the writer has open, with a mark in every partition that it wrote to.
    fn end_transaction(&mut self, name: &str, to: Transaction) {
        let open = self
            .writers
            .get_mut(name)
            .and_then(|writer| writer.open.take());
        let Some(Open {
            transaction,
            written,
            pending,
        }) = open
        else {
            return;
        };
        if let (Transaction::Committed, Some(pending), Some(groups)) =
            (to, pending, &mut self.groups)
        {
            groups.apply(pending);
        }
        self.transactions[transaction] = to;
        for (log, partition) in written {
            self.partition(&log, partition)
                .expect("it was written to")
                .push(Slot::Mark);
        }
    }
}

//! What the model remembers: logs of slots, transactions, writers and the planned crash.

use std::collections::{BTreeMap, BTreeSet};

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
}

/// Everything in a memory store.
pub struct State {
    logs: BTreeMap<String, Vec<Vec<Slot>>>,
    transactions: Vec<Transaction>,
    writers: BTreeMap<String, WriterState>,
    incarnation: u64,
    operations: u64,
    crash: Option<(u64, Side)>,
    crashed: bool,
    /// What polls return at most.
    pub poll_records_max: usize,
}

impl Default for State {
    fn default() -> Self {
        State {
            logs: BTreeMap::new(),
            transactions: Vec::new(),
            writers: BTreeMap::new(),
            incarnation: 0,
            operations: 0,
            crash: None,
            crashed: false,
            poll_records_max: 1000,
        }
    }
}

/// Incarnations, operations and crashes.
impl State {
    pub fn plan_crash(&mut self, operation: u64, side: Side) {
        self.crash = Some((self.operations + operation, side));
    }

    pub fn operations(&self) -> u64 {
        self.operations
    }

    pub fn reopen(&mut self) -> u64 {
        self.incarnation += 1;
        self.operations = 0;
        self.crash = None;
        self.crashed = false;
        self.incarnation
    }

    /// Whether handles of the incarnation still work.
    pub fn check_alive(&self, incarnation: u64) -> Result<()> {
        let alive = incarnation == self.incarnation && !self.crashed;
        if alive { Ok(()) } else { Err(LogError::Crash) }
    }

    pub fn operate<T>(
        &mut self,
        incarnation: u64,
        operation: impl FnOnce(&mut State) -> Result<T>,
    ) -> Result<T> {
        self.check_alive(incarnation)?;
        self.operations += 1;
        let crash = self.crash.filter(|(at, _)| *at == self.operations);
        self.crashed = crash.is_some();
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
        let writer = self.writers.entry(name.to_owned()).or_default();
        let transactions = &mut self.transactions;
        let open = writer.open.get_or_insert_with(|| {
            transactions.push(Transaction::Open);
            Open {
                transaction: transactions.len() - 1,
                written: BTreeSet::new(),
            }
        });
        open.written.insert((log.to_owned(), partition));
        let transaction = open.transaction;
        self.partition(log, partition)?
            .push(Slot::Record(transaction, record));
        Ok(())
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
        }) = open
        else {
            return;
        };
        self.transactions[transaction] = to;
        for (log, partition) in written {
            self.partition(&log, partition)
                .expect("it was written to")
                .push(Slot::Mark);
        }
    }
}

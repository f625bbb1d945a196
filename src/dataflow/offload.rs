//! An operator that hands batches to threads and holds their capabilities until they return.
//!
//! Tokenizing, scoring and committing are the same shape: work too long or too blocking for a
//! dataflow worker. The output's frontier does not pass an epoch before the last of its batches
//! has come back, so downstream of a committing thread it is the frontier of what is durable.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::ParallelizationContract;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::Operator;
use timely::scheduling::SyncActivator;

use super::Threads;
use crate::engine::EngineError;

/// How an operator forms batches of the records of one epoch.
pub struct Batches<D> {
    /// What a record costs towards `cost_max`: tokens, bytes, or 1.
    pub cost: fn(&D) -> usize,
    /// A batch is handed over once its cost reaches this; a single record may exceed it.
    pub cost_max: usize,
    /// Whether a batch waits for the end of its epoch while it is below `cost_max`; otherwise it
    /// is handed over as soon as no more input is at hand.
    pub whole_epochs: bool,
}

impl<D> Batches<D> {
    /// One batch an epoch, with all its records.
    pub fn epoch() -> Self {
        Batches {
            cost: |_| 0,
            cost_max: usize::MAX,
            whole_epochs: true,
        }
    }
}

/// A batch on its way to a thread.
pub struct Job<D> {
    /// The epoch of the records.
    pub epoch: u64,
    /// The records, in the order in which they reached the operator.
    pub records: Vec<D>,
}

struct Order<D, R> {
    job: Job<D>,
    reply: Reply<R>,
}

/// The obligation to answer for a batch. Dropping it wakes the operator.
struct Reply<R> {
    batch: u64,
    sender: Sender<(u64, Vec<R>)>,
    waker: SyncActivator,
}

impl<R> Drop for Reply<R> {
    fn drop(&mut self) {
        // Fails only when the worker is gone, on shutdown.
        let _ = self.waker.activate();
    }
}

/// Threads that do a kind of work; they end when the last handle is dropped.
pub struct Pool<D, R> {
    orders: Sender<Order<D, R>>,
}

impl<D: Send + 'static, R: Send + 'static> Pool<D, R> {
    /// Starts one of the `threads` for each element of `work`, which turns a batch into results.
    ///
    /// An error ends the thread that met it, and with it the dataflow.
    pub fn start<W>(name: &str, work: impl IntoIterator<Item = W>, threads: &Threads) -> Self
    where
        W: FnMut(Job<D>) -> Result<Vec<R>, EngineError> + Send + 'static,
    {
        let work: Vec<W> = work.into_iter().collect();
        let (orders, queue) = bounded::<Order<D, R>>(work.len());
        for (index, mut work) in work.into_iter().enumerate() {
            let queue = queue.clone();
            threads.spawn(format!("{name}-{index}"), move || {
                for Order { job, reply } in queue {
                    let results = work(job)?;
                    // The send fails only when the operator is gone, on shutdown.
                    let _ = reply.sender.send((reply.batch, results));
                }
                Ok(())
            });
        }
        Pool { orders }
    }
}

/// What the operator holds for the epochs in work.
struct State<D, R> {
    batches: Batches<D>,
    open: BTreeMap<u64, (Capability<u64>, Vec<D>, usize)>,
    ready: VecDeque<(Capability<u64>, Vec<D>)>,
    away: HashMap<u64, Capability<u64>>,
    next: u64,
    replies: Receiver<(u64, Vec<R>)>,
    reply: Sender<(u64, Vec<R>)>,
}

impl<D, R> State<D, R> {
    fn add(&mut self, epoch: u64, capability: impl FnOnce() -> Capability<u64>, record: D) {
        let (held, records, cost) = self
            .open
            .entry(epoch)
            .or_insert_with(|| (capability(), Vec::new(), 0));
        *cost = cost.saturating_add((self.batches.cost)(&record));
        records.push(record);
        if *cost >= self.batches.cost_max {
            *cost = 0;
            self.ready
                .push_back((held.clone(), std::mem::take(records)));
        }
    }

    /// Readies what waits: ended epochs, and what is at hand if nothing else is ready.
    fn close(&mut self, ended: impl Fn(u64) -> bool) {
        while let Some(entry) = self.open.first_entry() {
            let eager = !self.batches.whole_epochs && self.ready.is_empty();
            if !eager && !ended(*entry.key()) {
                break;
            }
            let (capability, records, _) = entry.remove();
            if !records.is_empty() {
                self.ready.push_back((capability, records));
            }
        }
    }

    /// Hands ready batches to the pool, as many as it takes.
    fn hand_over(&mut self, pool: Option<&Pool<D, R>>, waker: &SyncActivator) {
        let Some(pool) = pool else {
            return assert!(
                self.ready.is_empty(),
                "records are routed to the worker with the pool"
            );
        };
        // When a thread takes a batch off a full queue it has one of ours to return first, so its
        // reply wakes the operator: each operator has a pool to itself. The queue is asked before
        // an order is made, since an order that is dropped wakes the operator too, at once.
        while !pool.orders.is_full()
            && let Some((capability, records)) = self.ready.pop_front()
        {
            let reply = Reply {
                batch: self.next,
                sender: self.reply.clone(),
                waker: waker.clone(),
            };
            let epoch = *capability.time();
            let job = Job { epoch, records };
            // Held before it is sent: an epoch that lost a batch must not come to its end.
            self.away.insert(self.next, capability);
            self.next += 1;
            if pool.orders.try_send(Order { job, reply }).is_err() {
                // The threads have failed, and they themselves say why, now or in a moment.
                return;
            }
        }
    }
}

/// The results of `pool` for the records of `stream`, in any order within an epoch.
///
/// `route` says which worker a record goes to. At most one batch a thread is queued and one in
/// work; what else has arrived waits here, so the source must keep its distance (see `Pace`).
/// Workers to which nothing is routed need no pool.
pub fn offload<'s, D, R, P>(
    stream: StreamVec<'s, u64, D>,
    route: P,
    name: &str,
    batches: Batches<D>,
    pool: Option<Pool<D, R>>,
) -> StreamVec<'s, u64, R>
where
    D: Clone + Send + 'static,
    R: Clone + Send + 'static,
    P: ParallelizationContract<u64, Vec<D>>,
{
    let scope = stream.scope();
    stream.unary_frontier::<CapacityContainerBuilder<Vec<R>>, _, _, _>(
        route,
        name,
        move |_capability, info| {
            let waker = scope.worker().sync_activator_for(info.address.to_vec());
            let (reply, replies) = unbounded();
            let mut state = State {
                batches,
                open: BTreeMap::new(),
                ready: VecDeque::new(),
                away: HashMap::new(),
                next: 0,
                replies,
                reply,
            };
            move |(input, frontier), output| {
                // Not `for_each_stamp`, which may change the order of an epoch's containers.
                input.for_each(|stamp, records| {
                    let epoch = *stamp.least().expect("records have a time");
                    for record in records.drain(..) {
                        state.add(epoch, || stamp.delayed(&epoch, 0), record);
                    }
                });
                state.close(|epoch| !frontier.less_equal(&epoch));
                while let Ok((batch, results)) = state.replies.try_recv() {
                    let capability = state.away.remove(&batch).expect("one answer a batch");
                    output
                        .session(&capability)
                        .give_iterator(results.into_iter());
                }
                state.hand_over(pool.as_ref(), &waker);
            }
        },
    )
}

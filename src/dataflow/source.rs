//! The source of a dataflow: a thread reads logs and divides them into epochs.

use std::cell::RefCell;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded, unbounded};
use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::generic::{OutputBuilder, OutputBuilderSession};
use timely::dataflow::{Scope, StreamVec};
use timely::scheduling::SyncActivator;

use super::{Follower, Threads};
use crate::engine::EngineError;
use crate::log::Offsets;

/// Batches of records on their way to the operator: enough to keep it busy, and no more.
const QUEUE: usize = 4;

/// What the reading thread tells the operator.
pub enum Epoch<D> {
    /// Records of the open epoch.
    Records(Vec<D>),
    /// The open epoch ends, with each of the logs read up to here; the next one opens.
    End(Vec<Offsets>),
}

/// The end of an epoch, in the dataflow.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mark {
    /// How far each of the logs had been read.
    pub offsets: Vec<Offsets>,
}

/// The reading thread's side of the source.
pub struct Sending<D> {
    events: Sender<Epoch<D>>,
    waker: SyncActivator,
    /// Each time it moves, the epoch before which all are durable.
    durable: Receiver<u64>,
    follower: Option<RefCell<Box<dyn Follower<D>>>>,
}

impl<D> Sending<D> {
    /// The same, with a follower of what is sent from now on.
    pub fn followed_by(mut self, follower: Box<dyn Follower<D>>) -> Self {
        self.follower = Some(RefCell::new(follower));
        self
    }

    /// Sends to the operator, waiting while it is behind. `false` if the dataflow is gone.
    pub fn send(&self, event: Epoch<D>) -> bool {
        self.tell(|follower| match &event {
            Epoch::Records(records) => follower.records(records),
            Epoch::End(offsets) => follower.end(offsets),
        });
        let sent = self.events.send(event);
        // Activation fails only when the worker is gone, and then sending does.
        let _ = self.waker.activate();
        sent.is_ok()
    }

    /// Calls `note` with what has become durable since it was last asked for.
    pub fn note_durable(&self, mut note: impl FnMut(u64)) {
        for before in self.durable.try_iter() {
            self.tell(|follower| follower.durable(before));
            note(before);
        }
    }

    /// Waits until more has become durable; the epoch before which all are.
    ///
    /// # Errors
    /// When that took longer than `timeout`, or the dataflow is gone.
    pub fn wait_durable(&self, timeout: Duration) -> Result<u64, RecvTimeoutError> {
        let before = self.durable.recv_timeout(timeout)?;
        self.tell(|follower| follower.durable(before));
        Ok(before)
    }

    fn tell(&self, tell: impl FnOnce(&mut dyn Follower<D>)) {
        if let Some(follower) = &self.follower {
            tell(follower.borrow_mut().as_mut());
        }
    }
}

impl<D> Drop for Sending<D> {
    fn drop(&mut self) {
        // The operator must see the end of the input, or a panic of the thread.
        let (closed, _) = bounded(0);
        self.events = closed;
        let _ = self.waker.activate();
    }
}

type Output<T> = OutputBuilder<u64, CapacityContainerBuilder<Vec<T>>>;
type Session<'a, T> = OutputBuilderSession<'a, u64, CapacityContainerBuilder<Vec<T>>>;

/// The records that `read` sends from a thread of its own, and the marks of its epochs.
///
/// `durable` is a feedback of the frontier behind which everything is committed; the thread is
/// told of it and paces itself. It has no connection to the outputs, so it holds nothing back.
/// Epochs are consecutive, from `first` on. Where `read` is `None` the worker has no source.
pub fn log_source<'s, D, F>(
    scope: Scope<'s, u64>,
    first: u64,
    durable: StreamVec<'s, u64, ()>,
    read: Option<F>,
    threads: &Threads,
) -> (StreamVec<'s, u64, D>, StreamVec<'s, u64, Mark>)
where
    D: Clone + Send + 'static,
    F: FnOnce(Sending<D>) -> Result<(), EngineError> + Send + 'static,
{
    let mut builder = OperatorBuilder::new("LogSource".to_owned(), scope);
    let info = builder.operator_info();
    let (records, record_stream) = builder.new_output::<Vec<D>>();
    let (marks, mark_stream) = builder.new_output::<Vec<Mark>>();
    let mut records = Output::<D>::from(records);
    let mut marks = Output::<Mark>::from(marks);
    let mut durable = builder.new_input_connection(durable, Pipeline, []);
    let waker = scope.worker().sync_activator_for(info.address.to_vec());
    let receiving = read.map(|read| start(read, waker, threads));
    builder.build(move |capabilities| {
        let mut held = receiving.map(|receiving| Held::new(receiving, capabilities, first));
        move |frontiers| {
            durable.for_each(|_stamp, _nothing| {});
            let (mut records, mut marks) = (records.activate(), marks.activate());
            // The feedback adds one to what the sink has finished.
            let frontier = frontiers[0]
                .frontier()
                .first()
                .map(|epoch| epoch.saturating_sub(1));
            if let Some(source) = &mut held {
                source.note_durable(frontier);
                source.pass_on(&mut records, &mut marks);
                if source.is_finished(frontier) {
                    held = None;
                }
            }
        }
    });
    (record_stream, mark_stream)
}

/// The operator's side of the source, and its right to send.
struct Held<D> {
    receiving: Receiving<D>,
    /// For records and for marks; both at the open epoch.
    capabilities: Vec<Capability<u64>>,
    told: u64,
    ended: bool,
}

struct Receiving<D> {
    events: Receiver<Epoch<D>>,
    durable: Sender<u64>,
}

impl<D: Clone + 'static> Held<D> {
    fn new(receiving: Receiving<D>, mut capabilities: Vec<Capability<u64>>, first: u64) -> Self {
        capabilities
            .iter_mut()
            .for_each(|capability| capability.downgrade(&first));
        Held {
            receiving,
            capabilities,
            told: first,
            ended: false,
        }
    }

    fn open(&self) -> u64 {
        *self.capabilities[0].time()
    }

    fn end_epoch(&mut self) {
        let next = self.open() + 1;
        self.capabilities
            .iter_mut()
            .for_each(|capability| capability.downgrade(&next));
    }

    /// Tells the reading thread when more epochs have become durable.
    fn note_durable(&mut self, before: Option<u64>) {
        if let Some(before) = before.filter(|before| *before > self.told) {
            self.told = before;
            // The thread may have ended; then nobody needs to know.
            let _ = self.receiving.durable.send(before);
        }
    }

    fn pass_on(&mut self, records: &mut Session<'_, D>, marks: &mut Session<'_, Mark>) {
        while !self.ended {
            match self.receiving.events.try_recv() {
                Ok(Epoch::Records(mut batch)) => {
                    records
                        .session(&self.capabilities[0])
                        .give_container(&mut batch);
                }
                Ok(Epoch::End(offsets)) => {
                    marks.session(&self.capabilities[1]).give(Mark { offsets });
                    self.end_epoch();
                }
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.ended = true;
                    self.end_epoch();
                }
            }
        }
    }

    /// Whether all that was sent has gone through the dataflow.
    ///
    /// Operators that take an epoch together must see it end while the input is open: a worker
    /// that learns of the end of both at once would not take part. So the source outlives them.
    fn is_finished(&self, durable: Option<u64>) -> bool {
        self.ended && durable.is_none_or(|before| before >= self.open())
    }
}

fn start<D, F>(read: F, waker: SyncActivator, threads: &Threads) -> Receiving<D>
where
    D: Send + 'static,
    F: FnOnce(Sending<D>) -> Result<(), EngineError> + Send + 'static,
{
    let (events, receiver) = bounded(QUEUE);
    let (durable, durable_receiver) = unbounded();
    let sending = Sending {
        events,
        waker,
        durable: durable_receiver,
        follower: None,
    };
    threads.spawn("reader".to_owned(), move || read(sending));
    Receiving {
        events: receiver,
        durable,
    }
}

//! The threads of a dataflow: they stop together at the first failure, and end before it does.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use timely::WorkerConfig;
use timely::communication::WorkerGuards;
use timely::dataflow::Scope;
use timely::execute::execute_from;
use timely::worker::Worker;

use crate::cluster::Links;
use crate::engine::EngineError;

/// How often a worker with nothing to do looks for a failure.
const TICK: Duration = Duration::from_millis(50);

/// Threads that serve one dataflow. Clones are the same threads.
#[derive(Clone, Default)]
pub struct Threads(Arc<Shared>);

#[derive(Default)]
struct Shared {
    failed: AtomicBool,
    first: Mutex<Option<EngineError>>,
    handles: Mutex<Vec<JoinHandle<()>>>,
}

impl Threads {
    /// Starts a thread; its error or panic is reported.
    pub fn spawn(
        &self,
        name: String,
        body: impl FnOnce() -> Result<(), EngineError> + Send + 'static,
    ) {
        let threads = self.clone();
        let handle = thread::Builder::new()
            .name(name)
            .spawn(move || match catch_unwind(AssertUnwindSafe(body)) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => threads.report(error),
                Err(_panic) => threads.report(EngineError::ThreadEnded),
            })
            .expect("the operating system can start a thread");
        lock(&self.0.handles).push(handle);
    }

    /// Reports a failure. The first one counts; later ones are its consequences.
    pub fn report(&self, error: EngineError) {
        let mut first = lock(&self.0.first);
        if first.is_some() {
            tracing::debug!(%error, "a further failure");
        }
        first.get_or_insert(error);
        self.0.failed.store(true, Ordering::Release);
    }

    /// Whether anything has failed.
    pub fn failed(&self) -> bool {
        self.0.failed.load(Ordering::Acquire)
    }

    /// Runs the dataflow that `build` makes, on this many workers, until its input has ended and
    /// all work is done, or something fails; then waits for the threads.
    ///
    /// With `links` the workers are those of this process, beside those of others, and are counted
    /// through all of them.
    ///
    /// # Errors
    /// The first failure reported.
    pub fn execute(
        self,
        workers: usize,
        links: Option<Links>,
        build: impl Fn(usize, Scope<'_, u64>) + Send + Sync + 'static,
    ) -> Result<(), EngineError> {
        let threads = self.clone();
        let work = move |worker: &mut Worker| {
            let index = worker.index();
            worker.dataflow(|scope| build(index, scope));
            threads.drive(worker);
        };
        let Some(links) = links else {
            let config = match workers {
                1 => timely::Config::thread(),
                _ => timely::Config::process(workers),
            };
            self.join(timely::execute(config, work).map_err(EngineError::Workers)?);
            return self.end();
        };
        let (builders, running) = links.start(workers, &self)?;
        let guards = execute_from(builders, Box::new(()), WorkerConfig::default(), work);
        self.join(guards.map_err(EngineError::Workers)?);
        if !self.failed() {
            running.workers_are_through();
        }
        let ended = self.end();
        running.end(ended.is_err());
        ended
    }

    fn join(&self, workers: WorkerGuards<()>) {
        if workers.join().into_iter().any(|result| result.is_err()) {
            self.report(EngineError::ThreadEnded);
        }
    }

    /// Waits for the threads; the first failure, if any.
    fn end(&self) -> Result<(), EngineError> {
        for handle in std::mem::take(&mut *lock(&self.0.handles)) {
            // A panic inside has been caught and reported.
            let _ = handle.join();
        }
        lock(&self.0.first).take().map_or(Ok(()), Err)
    }

    fn drive(&self, worker: &mut Worker) {
        while worker.has_dataflows() {
            if self.failed() {
                for dataflow in worker.installed_dataflows() {
                    worker.drop_dataflow(dataflow);
                }
            }
            worker.step_or_park(Some(TICK));
        }
    }
}

/// The data behind a lock; a panic while it was held has been reported already.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! The engine's processes, each started again when it ends, and what ended them.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use crate::process::{Doom, Process};
use crate::site::Site;

/// How often it is looked after the processes.
const TICK: Duration = Duration::from_millis(20);
/// Longer than the engine waits at its start for its predecessor's transaction, and then for a
/// broker that does not answer.
const START: Duration = Duration::from_secs(180);
/// How long a process may take to end when it is asked to.
const FAREWELL: Duration = Duration::from_secs(60);
/// A broker is unavailable: the exit code.
const UNAVAILABLE: i32 = 69;

/// A place in the crew, which is always filled.
struct Post {
    role: Role,
    process: Process,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// `riffle score`.
    Score,
    /// `riffle curate`.
    Curate,
}

impl Role {
    /// Its name, also of the file that holds what it says.
    pub fn name(self) -> &'static str {
        match self {
            Role::Score => "score",
            Role::Curate => "curate",
        }
    }

    fn args(self) -> &'static [&'static str] {
        match self {
            Role::Score => &["score"],
            Role::Curate => super::soak::CURATE,
        }
    }
}

/// The processes, and what was seen of them.
pub struct Crew<'a> {
    site: &'a Site,
    posts: Vec<Post>,
    /// Starts of all processes.
    pub starts: u64,
    /// How often each thing was seen.
    pub seen: BTreeMap<&'static str, u64>,
    /// The most memory that a process of each role has taken, in bytes.
    pub memory_peaks: BTreeMap<Role, u64>,
}

impl<'a> Crew<'a> {
    /// So many scorers, and one curate.
    pub fn new(site: &'a Site, scorers: usize) -> Self {
        let mut crew = Crew {
            site,
            posts: Vec::new(),
            starts: 0,
            seen: BTreeMap::new(),
            memory_peaks: BTreeMap::new(),
        };
        for role in [vec![Role::Score; scorers], vec![Role::Curate]].concat() {
            let process = crew.start(role);
            crew.posts.push(Post { role, process });
        }
        crew
    }

    /// Starts one process more, which nobody starts again.
    pub fn start(&mut self, role: Role) -> Process {
        self.start_with(role, &[])
    }

    /// The same, with a directory of its own, as on another machine.
    pub fn start_elsewhere(&mut self, role: Role) -> Process {
        let dir = format!("--set=local.dir=elsewhere-{}", self.starts);
        self.start_with(role, &[&dir])
    }

    fn start_with(&mut self, role: Role, more: &[&str]) -> Process {
        self.starts += 1;
        let args = [role.args(), more].concat();
        Process::start(self.site, &format!("{}.said", role.name()), &args)
    }

    /// Counts what was done or seen.
    pub fn count(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// Where processes of this role are.
    pub fn posts(&self, role: Role) -> Vec<usize> {
        let posts = 0..self.posts.len();
        posts
            .filter(|post| self.posts[*post].role == role)
            .collect()
    }

    /// The process at a post.
    pub fn at(&mut self, post: usize) -> &mut Process {
        &mut self.posts[post].process
    }

    /// Puts another process where one was, which is handed back.
    pub fn relieve(&mut self, post: usize, by: Process) -> Process {
        std::mem::replace(&mut self.posts[post].process, by)
    }

    /// Lets time pass, and starts again what has ended meanwhile.
    ///
    /// # Panics
    /// If a process ended otherwise than what was done to it explains.
    pub fn wait(&mut self, duration: Duration) {
        let start = Instant::now();
        while start.elapsed() < duration {
            self.tend();
            thread::sleep(TICK.min(duration));
        }
    }

    fn tend(&mut self) {
        for post in 0..self.posts.len() {
            let Post { role, process } = &mut self.posts[post];
            let peak = self.memory_peaks.entry(*role).or_default();
            *peak = process.memory_peak().max(*peak);
            if let Some(status) = process.ended() {
                let gave_up =
                    status.code() == Some(UNAVAILABLE) && process.started.elapsed() < START;
                let role = *role;
                assert!(
                    gave_up || process.ended_well(status),
                    "{} ended with {status} after {:?}: {}",
                    role.name(),
                    process.doom,
                    process.last_words()
                );
                if gave_up {
                    self.count("start without a broker");
                }
                self.posts[post].process = self.start(role);
            }
        }
    }

    /// Ends all of them by SIGTERM.
    ///
    /// # Panics
    /// If one does not end well, or not within a minute.
    pub fn dismiss(&mut self) {
        for post in &mut self.posts {
            post.process.doom.get_or_insert(Doom::Terminated);
            post.process.signal("TERM");
        }
        for mut post in self.posts.drain(..) {
            let status = post.process.end_within(FAREWELL);
            let words = post.process.last_words();
            assert!(post.process.ended_well(status), "{status}: {words}");
        }
    }
}

//! Progress on standard error while the engine runs: a live line on a terminal, else a line every
//! ten seconds.

use std::fmt::Display;
use std::io::{IsTerminal, stderr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::Counters;

const ON_TERMINAL: Duration = Duration::from_millis(200);
const ELSEWHERE: Duration = Duration::from_secs(10);

/// Runs `work`, reporting what is counted meanwhile; `scores` says whether it scores documents.
pub fn report_while<T>(counters: &Counters, scores: bool, work: impl FnOnce() -> T) -> T {
    let mut rates = Rates::new();
    let line = |terminal| line(counters, scores.then(|| rates.now(counters, terminal)));
    lines_while(line, work)
}

/// Runs `work`, saying meanwhile what `state` then is.
pub fn tell_while<T>(state: &(impl Display + Sync), work: impl FnOnce() -> T) -> T {
    lines_while(|_| state.to_string(), work)
}

/// Runs `work`, writing meanwhile the `line` of the moment; it is told whether to a terminal.
fn lines_while<T>(line: impl FnMut(bool) -> String + Send, work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reporter = scope.spawn(|| report(line, &done));
        let result = work();
        done.store(true, Ordering::Release);
        reporter.thread().unpark();
        result
    })
}

fn report(mut line: impl FnMut(bool) -> String, done: &AtomicBool) {
    let terminal = stderr().is_terminal() && tracing::enabled!(tracing::Level::INFO);
    let bar = terminal.then(spinner);
    let every = if terminal { ON_TERMINAL } else { ELSEWHERE };
    let mut last = Instant::now();
    loop {
        thread::park_timeout(every);
        if done.load(Ordering::Acquire) {
            break;
        }
        if last.elapsed() < every {
            continue;
        }
        last = Instant::now();
        let line = line(terminal);
        match &bar {
            Some(bar) => bar.set_message(line),
            None => tracing::info!("{line}"),
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

/// Documents and tokens a second since some seconds ago.
struct Rates {
    since: Instant,
    tokens: u64,
    documents: u64,
}

impl Rates {
    fn new() -> Self {
        Rates {
            since: Instant::now(),
            tokens: 0,
            documents: 0,
        }
    }

    fn now(&mut self, counters: &Counters, terminal: bool) -> [f64; 2] {
        let tokens = Counters::get(&counters.tokens);
        let documents = Counters::get(&counters.scored);
        let seconds = self.since.elapsed().as_secs_f64();
        let rates =
            [tokens - self.tokens, documents - self.documents].map(|count| count as f64 / seconds);
        // A terminal's rates go over the same ten seconds, or they would flicker.
        if !terminal || self.since.elapsed() >= ELSEWHERE {
            *self = Rates {
                since: Instant::now(),
                tokens,
                documents,
            };
        }
        rates
    }
}

fn spinner() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}");
    let bar = ProgressBar::new_spinner();
    bar.set_style(style.expect("the template is well-formed"));
    bar.enable_steady_tick(ON_TERMINAL);
    bar
}

fn line(counters: &Counters, rates: Option<[f64; 2]>) -> String {
    let get = Counters::get;
    let mut line = String::new();
    if let Some([tokens, documents]) = rates {
        let left = get(&counters.read).saturating_sub(get(&counters.scored));
        let left = left.saturating_sub(get(&counters.dead_letters));
        line = format!(
            "{} scored ({documents:.0} documents/s, {tokens:.0} tokens/s), {left} in work, ",
            get(&counters.scored)
        );
    }
    line + &format!(
        "{} live, {} curated, {} dead letters",
        get(&counters.live),
        get(&counters.curated),
        get(&counters.dead_letters)
    )
}

//! Progress on standard error while the engine runs: a live line on a terminal, else a line every
//! ten seconds.

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
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reporter = scope.spawn(|| report(counters, scores, &done));
        let result = work();
        done.store(true, Ordering::Release);
        reporter.thread().unpark();
        result
    })
}

fn report(counters: &Counters, scores: bool, done: &AtomicBool) {
    let terminal = stderr().is_terminal() && tracing::enabled!(tracing::Level::INFO);
    let bar = terminal.then(spinner);
    let every = if terminal { ON_TERMINAL } else { ELSEWHERE };
    let (mut last, mut tokens, mut documents) = (Instant::now(), 0, 0);
    loop {
        thread::park_timeout(every);
        if done.load(Ordering::Acquire) {
            break;
        }
        if last.elapsed() < every {
            continue;
        }
        let now = [
            Counters::get(&counters.tokens),
            Counters::get(&counters.scored),
        ];
        let seconds = last.elapsed().as_secs_f64();
        let rates = [
            (now[0] - tokens) as f64 / seconds,
            (now[1] - documents) as f64 / seconds,
        ];
        let line = line(counters, scores.then_some(rates));
        match &bar {
            Some(bar) => bar.set_message(line),
            None => tracing::info!("{line}"),
        }
        // A terminal's rates go over the same ten seconds, or they would flicker.
        if !terminal || last.elapsed() >= ELSEWHERE {
            (last, tokens, documents) = (Instant::now(), now[0], now[1]);
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
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

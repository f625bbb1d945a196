//! Tells how far a feed has come: a bar on a terminal, otherwise a line every ten seconds.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Who is told how far a feed has come.
pub trait Progress {
    /// The feed begins to read as many bytes, or a number that nobody knows.
    fn begin(&mut self, bytes_total: Option<u64>);

    /// So many bytes are read, as the files hold them, and so many documents are committed. It is
    /// called several times a second.
    fn advance(&mut self, bytes: u64, documents: u64);

    /// Something that a person should know, as a line.
    fn note(&mut self, line: &str);

    /// The feed has ended.
    fn end(&mut self);
}

/// Tells nobody.
impl Progress for () {
    fn begin(&mut self, _: Option<u64>) {}
    fn advance(&mut self, _: u64, _: u64) {}
    fn note(&mut self, _: &str) {}
    fn end(&mut self) {}
}

/// Progress on standard error.
pub fn progress_on_stderr() -> Box<dyn Progress> {
    if stderr().is_terminal() {
        Box::new(Bar(ProgressBar::hidden()))
    } else {
        Box::new(Lines::default())
    }
}

/// A bar that redraws itself.
struct Bar(ProgressBar);

impl Progress for Bar {
    fn begin(&mut self, bytes_total: Option<u64>) {
        let template = match bytes_total {
            Some(_) => "{wide_bar} {bytes}/{total_bytes} {msg}, eta {eta}",
            None => "{spinner} {bytes} {msg}, {elapsed}",
        };
        let style = ProgressStyle::with_template(template).expect("a template that parses");
        self.0 = ProgressBar::with_draw_target(bytes_total, ProgressDrawTarget::stderr());
        self.0.set_style(style);
    }

    fn advance(&mut self, bytes: u64, documents: u64) {
        self.0.set_position(bytes);
        let rate = documents as f64 / self.0.elapsed().as_secs_f64();
        let (documents, rate) = (HumanCount(documents), HumanCount(rate as u64));
        self.0
            .set_message(format!("{documents} documents, {rate}/s"));
    }

    fn note(&mut self, line: &str) {
        self.0.suspend(|| eprintln!("{line}"));
    }

    fn end(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A line now and then.
struct Lines {
    begun: Instant,
    last: Instant,
    bytes_total: Option<u64>,
}

impl Default for Lines {
    fn default() -> Self {
        Lines {
            begun: Instant::now(),
            last: Instant::now(),
            bytes_total: None,
        }
    }
}

impl Lines {
    fn line(&self, bytes: u64, documents: u64) -> String {
        let seconds = self.begun.elapsed().as_secs_f64();
        let (count, rate) = (
            HumanCount(documents),
            HumanCount((documents as f64 / seconds) as u64),
        );
        let total = self
            .bytes_total
            .map(|total| format!(" of {}", HumanBytes(total)));
        let total = total.unwrap_or_default();
        format!(
            "feed: {count} documents, {rate}/s, {}{total} read",
            HumanBytes(bytes)
        )
    }
}

impl Progress for Lines {
    fn begin(&mut self, bytes_total: Option<u64>) {
        *self = Lines {
            bytes_total,
            ..Lines::default()
        };
    }

    fn advance(&mut self, bytes: u64, documents: u64) {
        if self.last.elapsed() >= LINE_INTERVAL {
            self.last = Instant::now();
            eprintln!("{}", self.line(bytes, documents));
        }
    }

    fn note(&mut self, line: &str) {
        eprintln!("{line}");
    }

    fn end(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_documents_and_bytes() {
        let lines = Lines {
            bytes_total: Some(3 << 20),
            ..Lines::default()
        };
        let line = lines.line(1 << 20, 12_345);
        assert!(line.starts_with("feed: 12,345 documents, "), "{line}");
        assert!(line.ends_with("/s, 1.00 MiB of 3.00 MiB read"), "{line}");
    }
}

//! A mixture that follows a stream of reports.

use crate::{Applied, Losses, Mixture, MixtureRule, Report, TooManyReports};

/// A rule and the reports of one run: after any reports, the mixture that a batch computation over
/// those in effect would give.
#[derive(Clone, Debug)]
pub struct LiveMixture {
    rule: MixtureRule,
    losses: Losses,
}

impl LiveMixture {
    /// The mixture of a run before its first report.
    pub fn new(rule: MixtureRule, run: &str) -> Self {
        let losses = Losses::new(run, rule.graph().evaluation());
        LiveMixture { rule, losses }
    }

    /// Takes a report in, and says what it did.
    ///
    /// # Errors
    /// As [`Losses::apply`].
    pub fn apply(&mut self, report: &Report) -> Result<Applied, TooManyReports> {
        self.losses.apply(report)
    }

    /// The mixture of the reports in effect, as [`MixtureRule::mixture`] with these masses.
    pub fn mixture(&self, masses: &[u64]) -> Mixture {
        let evaluations = self.losses.evaluations(self.rule.window());
        self.rule.mixture(&evaluations, masses)
    }

    /// The rule.
    pub fn rule(&self) -> &MixtureRule {
        &self.rule
    }

    /// The reports.
    pub fn losses(&self) -> &Losses {
        &self.losses
    }
}

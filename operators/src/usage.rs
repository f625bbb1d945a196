//! What an operator's state amounts to, for metrics.

/// An operator's state on one worker, at the end of an epoch.
///
/// Both are computed when asked, so that a report that nobody wants costs nothing.
pub trait Usage {
    /// Live documents on this worker.
    fn live(&self) -> usize;

    /// Bytes of memory allocated for the state, without the messages under way.
    ///
    /// Walks tables, groups and bins: ask once a second rather than every epoch.
    fn bytes(&self) -> usize;
}

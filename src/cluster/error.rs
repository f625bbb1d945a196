//! Why a cluster cannot work, or cannot go on.

use std::io;

/// A failure of a cluster, as seen from one of its processes.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The address of this process cannot be listened on.
    #[error(
        "process {process} of the cluster cannot listen on {address}: {source}; the line of the \
         hostfile must name an address of this machine, and a free port"
    )]
    Listen {
        /// This process.
        process: usize,
        /// Its address.
        address: String,
        /// What is wrong.
        source: io::Error,
    },
    /// Another process is not there any more.
    #[error("process {process} of the cluster is lost: {reason}")]
    Lost {
        /// The other process.
        process: usize,
        /// How that was noticed.
        reason: String,
    },
    /// Another process has failed, and said so.
    #[error("process {process} of the cluster has failed: {said}")]
    Failed {
        /// The other process.
        process: usize,
        /// What it said.
        said: String,
    },
    /// Process 0 does not work with this one.
    #[error("process 0 of the cluster refuses process {process}: {said}")]
    Refused {
        /// This process.
        process: usize,
        /// Why.
        said: String,
    },
    /// A connection that was just made cannot be set up.
    #[error("the connection to process {process} of the cluster cannot be used: {source}")]
    Connection {
        /// The other process.
        process: usize,
        /// What is wrong.
        source: io::Error,
    },
    /// What process 0 says to run does not read.
    #[error("process 0 of the cluster says what cannot be read: {0}")]
    Plan(serde_json::Error),
}

impl ClusterError {
    /// Whether the cause lies in another process.
    pub fn is_of_another(&self) -> bool {
        matches!(
            self,
            ClusterError::Lost { .. } | ClusterError::Failed { .. }
        )
    }
}

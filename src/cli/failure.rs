//! How a command ends when it does not end well: what is printed, and the exit code.

use std::error::Error;
use std::fmt::Write as _;
use std::io;

use crate::cluster::{ClusterError, GaveUp};
use crate::config::ConfigError;
use crate::engine::EngineError;
use crate::feed::FeedError;
use crate::log::LogError;
use crate::redeliver::RedeliverError;
use crate::tail::TailError;
use crate::verify::VerifyError;

/// The command line, or a variable beside it, cannot be understood; as clap has it.
pub(super) const USAGE: u8 = 2;
/// Failed while running.
const FAILED: u8 = 1;
/// What is published is not what should be; EX_DATAERR of sysexits.h.
const DIFFERENT: u8 = 65;
/// Another process of the cluster has ended; EX_TEMPFAIL of sysexits.h, since a further start may do.
pub(super) const ANOTHER_ENDED: u8 = 75;
/// Broker, device or model unavailable; EX_UNAVAILABLE of sysexits.h.
pub(super) const UNAVAILABLE: u8 = 69;
/// Another process has taken over; EX_NOPERM of sysexits.h, since this one may not write any more.
pub(super) const SHUT_OUT: u8 = 77;
/// The configuration cannot be used; EX_CONFIG of sysexits.h.
pub(super) const CONFIGURATION: u8 = 78;

/// Any error, as others hand it over.
pub type AnyError = Box<dyn Error + Send + Sync>;

/// Why a command did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The configuration cannot be used.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The configuration does not go with what is to be done, or with what was done before.
    #[error("{0}")]
    Unfit(AnyError),
    /// What was asked for cannot be understood.
    #[error("{0}")]
    Usage(AnyError),
    /// A broker, a device or the model is not there.
    #[error("{0}")]
    Unavailable(AnyError),
    /// Something failed on the way.
    #[error("{0}")]
    Failed(AnyError),
    /// Another process of the cluster has ended.
    #[error("{0}")]
    AnotherEnded(AnyError),
    /// Another process has taken over.
    #[error("{0}")]
    ShutOut(AnyError),
    /// A supervised process has ended, with this exit code.
    #[error("{0}")]
    GaveUp(AnyError, u8),
    /// Standard output cannot be written.
    #[error("writing to standard output: {0}")]
    Output(#[from] io::Error),
    /// The command has printed what is wrong itself: something failed on the way.
    #[error("not everything was done")]
    Reported,
    /// The command has printed itself what is published and should not be, or the reverse.
    #[error("what is published is not what should be")]
    ReportedDifference,
    /// The command has printed what is wrong itself: the configuration.
    #[error("the configuration cannot be used")]
    ReportedConfig,
    /// The command has printed what is wrong itself: something is not there.
    #[error("something is unavailable")]
    ReportedUnavailable,
}

impl Failure {
    /// The exit code. A reader that closed the pipe has what it wanted: 0.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Failure::Output(_) | Failure::Failed(_) | Failure::Reported => FAILED,
            Failure::AnotherEnded(_) => ANOTHER_ENDED,
            Failure::ShutOut(_) => SHUT_OUT,
            Failure::GaveUp(_, code) => *code,
            Failure::Usage(_) => USAGE,
            Failure::ReportedDifference => DIFFERENT,
            Failure::Unavailable(_) | Failure::ReportedUnavailable => UNAVAILABLE,
            Failure::Config(_) | Failure::Unfit(_) | Failure::ReportedConfig => CONFIGURATION,
        }
    }

    /// What is printed on standard error, or `None` if nothing is left to say.
    pub fn report(&self, colored: bool) -> Option<String> {
        match self {
            Failure::Reported
            | Failure::ReportedDifference
            | Failure::ReportedConfig
            | Failure::ReportedUnavailable => None,
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => None,
            Failure::Config(error) => Some(error.report(colored)),
            Failure::Unfit(error)
            | Failure::Usage(error)
            | Failure::Unavailable(error)
            | Failure::Failed(error)
            | Failure::AnotherEnded(error)
            | Failure::ShutOut(error)
            | Failure::GaveUp(error, _) => Some(with_causes(error.as_ref(), colored)),
            Failure::Output(_) => Some(with_causes(self, colored)),
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Log(error) => error.into(),
            EngineError::Cluster(error) => error.into(),
            EngineError::Model(_) | EngineError::NoDocuments { .. } => {
                Failure::Unavailable(error.into())
            }
            EngineError::NoEncoder
            | EngineError::Codes { .. }
            | EngineError::SketchChanged { .. }
            | EngineError::Mixture(_)
            | EngineError::Centroids(_) => Failure::Unfit(error.into()),
            other => Failure::Failed(other.into()),
        }
    }
}

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Self {
        match error {
            ClusterError::Listen { .. } => Failure::Unavailable(error.into()),
            ClusterError::Refused { .. } => Failure::Unfit(error.into()),
            error if error.is_of_another() => Failure::AnotherEnded(error.into()),
            other => Failure::Failed(other.into()),
        }
    }
}

impl From<GaveUp> for Failure {
    fn from(error: GaveUp) -> Self {
        let code = match &error {
            GaveUp::Start(_) => FAILED,
            GaveUp::Ended { code, .. } => *code,
        };
        Failure::GaveUp(error.into(), code)
    }
}

impl From<FeedError> for Failure {
    fn from(error: FeedError) -> Self {
        match &error {
            FeedError::Log { source, .. } if matches!(**source, LogError::Unavailable { .. }) => {
                Failure::Unavailable(error.into())
            }
            _ => Failure::Failed(error.into()),
        }
    }
}

impl From<TailError> for Failure {
    fn from(error: TailError) -> Self {
        match error {
            TailError::Log(error) => error.into(),
            TailError::Output(error) => error.into(),
        }
    }
}

impl From<RedeliverError> for Failure {
    fn from(error: RedeliverError) -> Self {
        match error {
            RedeliverError::Engine(error) => error.into(),
            RedeliverError::Log(error) => error.into(),
            RedeliverError::Stopped => Failure::Failed(error.into()),
        }
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Engine(error) => error.into(),
            VerifyError::Log(error) => error.into(),
            VerifyError::NothingCommitted { .. } => Failure::Unavailable(error.into()),
            VerifyError::Stopped => Failure::Failed(error.into()),
        }
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Unavailable { .. } => Failure::Unavailable(error.into()),
            LogError::Fenced { .. } => Failure::ShutOut(error.into()),
            other => Failure::Failed(other.into()),
        }
    }
}

/// `error: …`, and each cause that the text before it does not already hold.
fn with_causes(error: &(dyn Error + 'static), colored: bool) -> String {
    let (red, plain) = if colored {
        ("\x1b[1;31m", "\x1b[0m")
    } else {
        ("", "")
    };
    let mut text = format!("{red}error:{plain} {error}\n");
    let mut cause = error.source();
    while let Some(error) = cause {
        let line = error.to_string();
        if !text.contains(&line) {
            writeln!(text, "  because {line}").expect("writing to memory does not fail");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_pipe_is_a_success_and_says_nothing() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((failure.exit_code(), failure.report(false)), (0, None));
        let full = Failure::from(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(full.exit_code(), 1);
        assert!(full.report(false).is_some());
    }

    #[test]
    fn a_broker_that_is_away_is_unavailable_and_causes_are_told_once() {
        let (brokers, reason) = ("a:1".to_owned(), "refused".to_owned());
        let away = Failure::from(LogError::Unavailable { brokers, reason });
        assert_eq!(away.exit_code(), 69);
        let source = io::Error::from(io::ErrorKind::StorageFull);
        let full = Failure::from(LogError::Io {
            path: "log".into(),
            source,
        });
        let report = full.report(false).unwrap();
        assert_eq!(
            (full.exit_code(), report.lines().count()),
            (1, 1),
            "{report}"
        );
    }
}

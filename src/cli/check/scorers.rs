//! The scorers that share the documents on Kafka: how many there are, and what is left for them.

use rdkafka::consumer::Consumer;

use super::brokers::{ANSWER_TIME_MAX, client, counted};
use super::finding::{Finding, Status};
use crate::cli::failure::AnyError;
use crate::config::{Config, LogKind};
use crate::engine::Stores;
use crate::score;

/// A finding for the scorers' consumer group; none where scorers do not share, or there are no
/// documents yet. The brokers must answer.
pub(super) fn check(config: &Config) -> Option<Finding> {
    if [config.documents.log, config.scored.log] != [LogKind::Kafka; 2] {
        return None;
    }
    let group = format!("riffle-{}", score::writer_of(&config.scored.topic));
    let left = left(config).transpose()?;
    let found = left.and_then(|left| Ok((members(config, &group)?, left)));
    let what = format!("group {group}");
    Some(match found {
        Ok((members, left)) => {
            let (members, left) = (counted(members, "scorer"), counted(left, "record"));
            let found = format!("{members}, at most {left} to score");
            Finding::new(Status::Ok, what, found)
        }
        Err(error) => Finding::new(Status::Fail, what, error.to_string())
            .fix("let this user read the group and topic riffle-progress"),
    })
}

/// How many members the group has; none also when there is no such group.
fn members(config: &Config, group: &str) -> Result<usize, AnyError> {
    let found = client(config)?.fetch_group_list(Some(group), ANSWER_TIME_MAX)?;
    Ok(found.groups().iter().map(|it| it.members().len()).sum())
}

/// How many records of the documents log, with the marks that transactions leave there, no scorer has
/// committed yet; `None` without the log.
fn left(config: &Config) -> Result<Option<usize>, AnyError> {
    let store = Stores::new(config).of(LogKind::Kafka)?;
    let documents = &config.documents.topic;
    if store.partitions(documents)?.is_none() {
        return Ok(None);
    }
    let committed = score::committed(store.as_ref(), &config.scored.topic)?;
    let left = committed
        .unwrap_or_default()
        .distance(&store.ends(documents)?);
    Ok(Some(left as usize))
}

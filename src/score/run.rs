//! Scores from where the last commit was: alone, or as a member of a group.

use std::ptr::addr_eq;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use kernels::{EncoderTokenizer, LanguageModel, Tokenizer};

use super::embedder::Embedder;
use super::member::Member;
use super::output::Output;
use super::work::{Run, Work};
use crate::config::FieldPath;
use crate::dataflow::Until;
use crate::engine::{Counters, EngineError};
use crate::log::{Kept, Layout, Offsets, Store};
use crate::records::Progress;

/// The name of the scorer's writer, or of the group of scorers. It names the log, since on one
/// Kafka cluster other pipelines may have scorers of their own.
pub(crate) fn writer_of(scored: &str) -> String {
    format!("score-{scored}")
}

/// What gives the scores.
pub enum Scorer {
    /// A reference model and its tokenizer, up to so many tokens a document.
    Model(Box<dyn LanguageModel>, Arc<Tokenizer>, usize),
    /// Fields of the document: perplexity and, it may be, tokens.
    Fields(FieldPath, Option<FieldPath>),
}

/// What to score, and where.
pub struct Score {
    /// The store of the documents log.
    pub documents_store: Arc<dyn Store>,
    /// The log of documents.
    pub documents: String,
    /// The store of the outputs.
    pub scored_store: Arc<dyn Store>,
    /// The log of scored records.
    pub scored: String,
    /// The log of dead letters.
    pub dead_letters: String,
    /// What gives the scores.
    pub scorer: Scorer,
    /// What gives the codes, and the tokenizer for it.
    pub embedder: Option<(Embedder, Arc<EncoderTokenizer>)>,
    /// Threads that parse and tokenize.
    pub threads: usize,
    /// The largest document taken.
    pub document_bytes_max: usize,
    /// Tokens at which a batch is handed to the models.
    pub batch_tokens: usize,
    /// How long an epoch should take.
    pub epoch: Duration,
    /// Where to end.
    pub until: Until,
    /// Set to finish the open epoch and end.
    pub stop: Arc<AtomicBool>,
    /// What is counted on the way.
    pub counters: Arc<Counters>,
}

/// Scores until the end, or until told to stop; on return all that was read is committed.
///
/// Where documents and scored records are in one store that knows groups, other scorers may work
/// beside this one, and they share the partitions of the documents log.
///
/// # Errors
/// [`EngineError`] when a log or the model fails for good. What was committed before stays, and a
/// later call goes on from there.
pub fn score(score: Score) -> Result<(), EngineError> {
    let partitions = partitions(&score)?;
    let name = writer_of(&score.scored);
    let outputs = [&*score.scored, &*score.dead_letters];
    let in_one_store = addr_eq(
        Arc::as_ptr(&score.documents_store),
        Arc::as_ptr(&score.scored_store),
    );
    let group = match in_one_store {
        true => score
            .scored_store
            .group(&name, &score.documents, &outputs)?,
        false => None,
    };
    match group {
        Some(group) => Member::new(Work::new(score), group, name, partitions).score(),
        None => alone(score, name, partitions),
    }
}

/// Scores as the only scorer, from where the last one's commit was.
fn alone(score: Score, name: String, partitions: u16) -> Result<(), EngineError> {
    let logs = [&*score.scored, &*score.dead_letters];
    let writer = score.scored_store.writer(&name, &logs)?;
    let progress = progress_of(writer.position(), name)?;
    if let Some(progress) = &progress {
        progress.check_partitions(&score.documents, partitions)?;
    }
    let run = Run {
        first: progress.as_ref().map_or(0, |progress| progress.epoch + 1),
        from: progress.map_or_else(|| Offsets::start(partitions), |progress| progress.offsets),
        output: Output::Alone(writer),
        stop: Arc::default(),
    };
    Work::new(score).run(run)
}

/// How far the scorers of a log have committed, who go on undisturbed; `None` before the first
/// commit.
///
/// # Errors
/// The store's, and [`EngineError::Progress`] when the position does not read.
pub(crate) fn committed(store: &dyn Store, scored: &str) -> Result<Option<Offsets>, EngineError> {
    let name = writer_of(scored);
    let Kept { offsets, alone } = store.kept(&name)?;
    let alone = progress_of(alone.as_deref(), name)?;
    Ok(offsets.or(alone.map(|progress| progress.offsets)))
}

fn progress_of(position: Option<&[u8]>, writer: String) -> Result<Option<Progress>, EngineError> {
    let progress = position.map(Progress::decode).transpose();
    progress.map_err(|source| EngineError::Progress { writer, source })
}

/// The partitions of the documents log, which the scored log must have too.
fn partitions(score: &Score) -> Result<u16, EngineError> {
    let documents = score
        .documents_store
        .partitions(&score.documents)?
        .ok_or_else(|| EngineError::NoDocuments {
            log: score.documents.clone(),
        })?;
    let layout = Layout {
        partitions: documents,
        compacted: false,
    };
    let scored = score.scored_store.create(&score.scored, layout)?;
    score.scored_store.create(
        &score.dead_letters,
        Layout {
            partitions: 1,
            compacted: false,
        },
    )?;
    if scored != documents {
        return Err(EngineError::Partitions {
            documents: score.documents.clone(),
            of_documents: documents,
            scored: score.scored.clone(),
            of_scored: scored,
        });
    }
    Ok(documents)
}

//! What a run has kept: counts, the histogram, and documents of both ends and of the middle.

use crate::histogram::histogram;
use crate::state::{Document, State};
use crate::text::row;

/// The outcome as text.
pub fn outcome(state: &State) -> String {
    let all = state.by_perplexity();
    let (live, kept) = (all.len(), state.kept.len());
    let middle = (all.len() / 2).saturating_sub(1);
    let mut text = format!(
        "{live} documents are live, {kept} are kept: exactly the middle half.\n\
         The cuts moved while the stream ran: the curated log holds {} admissions and {} \
         withdrawals.\n\n",
        state.admissions, state.withdrawals
    );
    text += &histogram(state);
    text += "\n  perplexity  document\n";
    text += &list("too predictable: the three lowest", all.iter().take(3));
    text += &list("kept: three of the middle", all.iter().skip(middle).take(3));
    text += &list(
        "too surprising: the three highest",
        all.iter().rev().take(3).rev(),
    );
    text
}

fn list<'a>(title: &str, documents: impl Iterator<Item = &'a (&'a str, &'a Document)>) -> String {
    let rows = documents.map(|(id, document)| row("", id, document));
    format!(" {title}\n") + &rows.collect::<String>()
}

//! What came and went between two states: the cuts, the tombstones and the admissions.

use crate::state::{Document, State};
use crate::text::row;

/// How many documents of a list are shown.
const ROWS_MAX: usize = 8;

/// The changes as text.
pub fn changes(before: &State, after: &State) -> String {
    let gone = |id: &&String| !after.documents.contains_key(*id);
    let arrived = |id: &&String| !before.documents.contains_key(*id);
    let (taken, left): (Vec<_>, Vec<_>) = before.kept.difference(&after.kept).partition(gone);
    let (new, late): (Vec<_>, Vec<_>) = after.kept.difference(&before.kept).partition(arrived);
    let arrivals = after.documents.keys().filter(arrived).count();
    let mut text = format!(
        "{} → {} documents are live, {} → {} are kept: again exactly the middle half.\n",
        before.documents.len(),
        after.documents.len(),
        before.kept.len(),
        after.kept.len()
    );
    text += &cut("low", before.low, after.low);
    text += &cut("high", before.high, after.high);
    text += &format!(
        "{} admissions and {} withdrawals went into the curated log.\n",
        after.admissions.saturating_sub(before.admissions),
        after.withdrawals.saturating_sub(before.withdrawals)
    );
    text += "\n  perplexity  document\n";
    text += &list("-", "withdrawn: taken down", &taken, before);
    text += &list("-", "withdrawn: a cut has passed them", &left, after);
    text += &list("+", "admitted late: a cut has passed them", &late, after);
    let admitted = format!("of {arrivals} arrivals admitted");
    text += &list("+", &admitted, &new, after);
    text
}

fn cut(name: &str, before: f64, after: f64) -> String {
    let [was, is] = [before.exp(), after.exp()];
    format!("The {name} cut moved from perplexity {was:.2} to {is:.2}.\n")
}

fn list(mark: &str, title: &str, ids: &[&String], state: &State) -> String {
    let document = |id: &&String| -> Option<(String, Document)> {
        Some(((*id).clone(), state.documents.get(*id)?.clone()))
    };
    let mut documents: Vec<_> = ids.iter().filter_map(document).collect();
    documents.sort_by(|(_, a), (_, b)| a.mean_nll_nats.total_cmp(&b.mean_nll_nats));
    let rows = documents.iter().take(ROWS_MAX);
    let rows: String = rows.map(|(id, document)| row(mark, id, document)).collect();
    let more = match documents.len().saturating_sub(ROWS_MAX) {
        0 => String::new(),
        more => format!("{mark:>3}      and {more} more\n"),
    };
    format!(" {} {title}\n{rows}{more}", ids.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(documents: &[(&str, f64)], kept: &[&str]) -> State {
        let document = |(id, mean_nll_nats): &(&str, f64)| {
            let text = format!("text of {id}");
            (
                (*id).to_owned(),
                Document {
                    mean_nll_nats: *mean_nll_nats,
                    text,
                },
            )
        };
        State {
            documents: documents.iter().map(document).collect(),
            kept: kept.iter().map(|id| (*id).to_owned()).collect(),
            low: 0.0,
            high: 2.0,
            admissions: kept.len(),
            withdrawals: 0,
        }
    }

    #[test]
    fn changes_tell_why_each_document_came_or_went() {
        let before = state(&[("a", 1.0), ("b", 1.1), ("c", 2.5)], &["a", "b"]);
        let after = state(&[("b", 1.1), ("c", 2.5), ("d", 2.6)], &["c", "d"]);
        let text = changes(&before, &after);
        let place = |part: &str| text.find(part).expect(part);
        let order = [
            "withdrawn: taken down",
            "text of a",
            "withdrawn: a cut",
            "text of b",
            "admitted late",
            "text of c",
            "1 of 1 arrivals",
            "text of d",
        ];
        assert!(
            order.windows(2).all(|pair| place(pair[0]) < place(pair[1])),
            "{text}"
        );
    }
}

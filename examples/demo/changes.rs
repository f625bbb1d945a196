//! What came and went between two states: the cuts, the tombstones and the admissions.

use crate::state::{Document, State};
use crate::text::row;

/// The changes as text.
pub fn changes(before: &State, after: &State) -> String {
    let gone = |id: &&String| !after.documents.contains_key(*id);
    let arrived = |id: &&String| !before.documents.contains_key(*id);
    let (taken, left): (Vec<_>, Vec<_>) = before.kept.difference(&after.kept).partition(gone);
    let (new, late): (Vec<_>, Vec<_>) = after.kept.difference(&before.kept).partition(arrived);
    let mut text = format!(
        "{} → {} documents are live, {} → {} are kept: again exactly the middle half.\n",
        before.documents.len(),
        after.documents.len(),
        before.kept.len(),
        after.kept.len()
    );
    text += &cut(
        "low cut ",
        before.low.mean_nll_nats,
        after.low.mean_nll_nats,
    );
    text += &cut(
        "high cut",
        before.high.mean_nll_nats,
        after.high.mean_nll_nats,
    );
    text += &format!(
        "The curated log grew by {} records:\n\n     perplexity  document\n",
        after.records_curated.saturating_sub(before.records_curated)
    );
    text += &list(
        "-",
        "withdrawn, because they were taken down",
        &taken,
        before,
    );
    text += &list("-", "withdrawn, because a cut passed them", &left, after);
    text += &list(
        "+",
        "admitted late, because a cut passed them",
        &late,
        after,
    );
    text += &list("+", "admitted on arrival", &new, after);
    text
}

fn cut(name: &str, before: f64, after: f64) -> String {
    let [was, is] = [before.exp(), after.exp()];
    format!("{name}: perplexity {was:.2} → {is:.2}\n")
}

fn list(mark: &str, title: &str, ids: &[&String], state: &State) -> String {
    let document = |id: &&String| -> Option<(String, Document)> {
        Some(((*id).clone(), state.documents.get(*id)?.clone()))
    };
    let mut documents: Vec<_> = ids.iter().filter_map(document).collect();
    documents.sort_by(|(_, a), (_, b)| a.mean_nll_nats.total_cmp(&b.mean_nll_nats));
    let rows = documents
        .iter()
        .map(|(id, document)| row(mark, id, document));
    format!(" {} {title}\n", ids.len()) + &rows.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Cut;

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
            low: Cut { mean_nll_nats: 0.0 },
            high: Cut { mean_nll_nats: 2.0 },
            records_curated: kept.len(),
        }
    }

    #[test]
    fn changes_tell_why_each_document_came_or_went() {
        let before = state(&[("a", 1.0), ("b", 1.1), ("c", 2.5)], &["a", "b"]);
        let after = state(&[("b", 1.1), ("c", 2.5), ("d", 2.6)], &["c", "d"]);
        let text = changes(&before, &after);
        let place = |part: &str| text.find(part).expect(part);
        let order = [
            "taken down",
            "text of a",
            "a cut passed",
            "text of b",
            "admitted late",
            "text of c",
            "on arrival",
            "text of d",
        ];
        assert!(
            order.windows(2).all(|pair| place(pair[0]) < place(pair[1])),
            "{text}"
        );
    }
}

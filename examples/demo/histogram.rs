//! How documents spread over mean NLL, with the cuts drawn where they stand.

use crate::state::State;

const ROWS: usize = 18;
const BAR_CHARS: usize = 70;

/// A row: documents from `begin` up to the next row's, in nats.
#[derive(Debug, PartialEq)]
struct Row {
    begin: f64,
    kept: usize,
    others: usize,
}

/// The histogram as text, a row a line.
pub fn histogram(state: &State) -> String {
    let (low, high) = (state.low, state.high);
    let scores: Vec<(f64, bool)> = state
        .documents
        .iter()
        .map(|(id, document)| (document.mean_nll_nats, state.kept.contains(id)))
        .collect();
    let rows = rows(&scores, [low, high]);
    let most = rows
        .iter()
        .map(|row| row.kept + row.others)
        .max()
        .unwrap_or(1);
    let mut text = String::from(" mean NLL  perplexity  documents  (█ kept, ░ not kept)\n");
    for row in &rows {
        for (cut, name) in [(low, "low"), (high, "high")] {
            if row.begin == cut {
                text += &line_of_cut(name, cut);
            }
        }
        text += &line(row, most);
    }
    text
}

/// Equal steps from the least score to the greatest, and a step more at each cut, so that no row
/// lies on both sides of one.
fn rows(scores: &[(f64, bool)], cuts: [f64; 2]) -> Vec<Row> {
    let least = scores.iter().map(|it| it.0).fold(f64::INFINITY, f64::min);
    let most = scores
        .iter()
        .map(|it| it.0)
        .fold(f64::NEG_INFINITY, f64::max);
    let step = (most - least) / ROWS as f64;
    let mut begins: Vec<f64> = (0..ROWS).map(|row| least + step * row as f64).collect();
    begins.extend(cuts);
    begins.sort_by(f64::total_cmp);
    begins.dedup();
    let mut rows: Vec<Row> = begins
        .into_iter()
        .map(|begin| Row {
            begin,
            kept: 0,
            others: 0,
        })
        .collect();
    for (score, kept) in scores {
        let after = rows.partition_point(|row| row.begin <= *score);
        let row = &mut rows[after.saturating_sub(1)];
        *(if *kept {
            &mut row.kept
        } else {
            &mut row.others
        }) += 1;
    }
    rows
}

fn line(row: &Row, most: usize) -> String {
    let chars = |count: usize| (count * BAR_CHARS).div_ceil(most.max(BAR_CHARS));
    let bar = "█".repeat(chars(row.kept)) + &"░".repeat(chars(row.others));
    let count = row.kept + row.others;
    let row = format!(
        "{:>9.2}  {:>10.1}  {count:>9}  {bar}",
        row.begin,
        row.begin.exp()
    );
    row.trim_end().to_owned() + "\n"
}

fn line_of_cut(name: &str, cut: f64) -> String {
    let label = format!(
        "──── {name} cut: {cut:.4} nats, perplexity {:.2} ",
        cut.exp()
    );
    format!("{label:─<98}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_break_at_the_cuts_and_count_everything_once() {
        let scores: Vec<(f64, bool)> = (0..=180)
            .map(|i| (f64::from(i) / 10.0, (45..135).contains(&i)))
            .collect();
        let rows = rows(&scores, [4.5, 13.5]);
        assert_eq!(rows.len(), ROWS + 2);
        assert_eq!(
            rows.iter().map(|row| row.kept + row.others).sum::<usize>(),
            181
        );
        assert!(rows.iter().all(|row| row.kept == 0 || row.others == 0));
        let kept: Vec<f64> = rows
            .iter()
            .filter(|it| it.kept > 0)
            .map(|it| it.begin)
            .collect();
        assert_eq!((kept[0], kept[kept.len() - 1]), (4.5, 13.0));
    }

    #[test]
    fn one_document_makes_rows_too() {
        assert_eq!(
            rows(&[(2.0, true)], [2.0, 2.0]),
            [Row {
                begin: 2.0,
                kept: 1,
                others: 0
            }]
        );
    }
}

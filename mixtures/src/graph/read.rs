//! Graphs as JSON and as tables of comma-separated values.

use serde::{Deserialize, Serialize};

use super::error::Place;
use super::{Graph, GraphError};

/// The JSON form of a graph.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    training: Vec<String>,
    evaluation: Vec<String>,
    edges: Vec<Vec<f64>>,
}

impl Graph {
    /// The graph of `{"training": ["a", …], "evaluation": ["b", …], "edges": [[1, 0.5], …]}`, a row
    /// of edges a training skill.
    ///
    /// # Errors
    /// [`GraphError`], with row and column.
    pub fn from_json(text: &str) -> Result<Self, GraphError> {
        let fields: Fields = serde_json::from_str(text).map_err(|error| GraphError::Json {
            reason: error.to_string(),
        })?;
        Graph::new(fields.training, fields.evaluation, &fields.edges)
    }

    /// The graph of a table: a header of evaluation skills, and a row a training skill, whose name
    /// is in the first column. The header's first cell is free. Spaces around cells are dropped.
    ///
    /// # Errors
    /// [`GraphError`], with row and column.
    pub fn from_csv(text: &str) -> Result<Self, GraphError> {
        let unreadable = |error: csv::Error| GraphError::Csv {
            reason: error.to_string(),
        };
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
        let header = reader.headers().map_err(unreadable)?;
        let evaluation: Vec<String> = header.iter().skip(1).map(str::to_owned).collect();
        let (mut training, mut cells) = (Vec::new(), Vec::new());
        for record in reader.records() {
            let record = record.map_err(unreadable)?;
            let mut fields = record.iter().map(str::to_owned);
            training.push(fields.next().unwrap_or_default());
            cells.push(fields.collect::<Vec<String>>());
        }
        let mut edges = Vec::new();
        for (row, cells) in cells.iter().enumerate() {
            if cells.len() != evaluation.len() {
                return Err(GraphError::RowLength {
                    row: row + 1,
                    skill: training[row].clone(),
                    found: cells.len(),
                    expected: evaluation.len(),
                });
            }
            let number = |(column, text): (usize, &String)| {
                text.parse().map_err(|_| GraphError::NotANumber {
                    place: Place::of(row, column, &training, &evaluation),
                    text: text.clone(),
                })
            };
            let values: Result<Vec<f64>, _> = cells.iter().enumerate().map(number).collect();
            edges.push(values?);
        }
        Graph::new(training, evaluation, &edges)
    }

    /// The graph as [`Graph::from_json`] reads it, a row of edges a line.
    pub fn to_json(&self) -> String {
        let json = |value: &[String]| serde_json::to_string(value).expect("texts become JSON");
        let rows: Vec<String> = self
            .rows()
            .map(|row| serde_json::to_string(row).expect("finite numbers become JSON"))
            .collect();
        format!(
            "{{\n  \"training\": {},\n  \"evaluation\": {},\n  \"edges\": [\n    {}\n  ]\n}}\n",
            json(self.training()),
            json(self.evaluation()),
            rows.join(",\n    ")
        )
    }

    /// The graph as [`Graph::from_csv`] reads it.
    pub fn to_csv(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let mut write = |first: &str, rest: Vec<String>| {
            let cells = std::iter::once(first.to_owned()).chain(rest);
            writer
                .write_record(cells)
                .expect("all rows have one length");
        };
        write("skill", self.evaluation().to_vec());
        for (skill, row) in self.training().iter().zip(self.rows()) {
            write(skill, row.iter().map(f64::to_string).collect());
        }
        let bytes = writer.into_inner().expect("memory can be written to");
        String::from_utf8(bytes).expect("names and numbers are UTF-8")
    }
}

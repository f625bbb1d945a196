//! The rules: what is kept of the live documents, as configured and as progress records keep it.

use serde::{Deserialize, Serialize};

use super::groups::Groups;
use crate::config::{Sketch, Stage};
use crate::engine::EngineError;
use crate::records::ProgressError;

/// What is kept of the live documents.
#[derive(Clone)]
pub struct Rules {
    /// The selection stages, in order.
    pub stages: Vec<Stage>,
    /// The sketch that a stage by density counts in.
    pub sketch: Sketch,
    /// The fields that the stages group by.
    pub groups: Groups,
    /// The epoch whose changes are published already, because it is read again under the same
    /// rules: the stages tell its summaries alone.
    pub replayed: Option<u64>,
}

/// Rules as text. Without a stage by density they are the stages alone.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Stages(Vec<Stage>),
    Sampled {
        /// The fingerprint of the sketch, as 16 hexadecimal digits.
        sketch: String,
        stages: Vec<Stage>,
    },
}

impl Rules {
    /// Keeps what these stages keep.
    pub fn new(stages: Vec<Stage>, sketch: Sketch) -> Self {
        let fields = stages.iter().filter_map(Stage::group_by);
        Rules {
            groups: Groups::new(fields.map(|field| field.as_str().to_owned())),
            stages,
            sketch,
            replayed: None,
        }
    }

    /// The place of the stage by density, if there is one.
    pub fn by_density(&self) -> Option<usize> {
        self.stages.iter().position(Stage::is_by_density)
    }

    /// What a progress record keeps of the rules: text that [`Rules::from_text`] reads back.
    pub fn to_text(&self) -> String {
        let stages = self.stages.clone();
        let written = match self.by_density() {
            None => Written::Stages(stages),
            Some(_) => Written::Sampled {
                sketch: print(&self.sketch),
                stages,
            },
        };
        serde_json::to_string(&written).expect("stages can be written as JSON")
    }

    /// The rules of an earlier run of the writer, whose codes were made under this sketch.
    ///
    /// # Errors
    /// [`EngineError::Progress`] when the text does not read; [`EngineError::SketchChanged`] when
    /// the codes that were counted are of another sketch: then nobody knows its shape.
    pub fn from_text(text: &str, sketch: &Sketch, writer: &str) -> Result<Self, EngineError> {
        let written = serde_json::from_str(text).map_err(|source| EngineError::Progress {
            writer: writer.to_owned(),
            source: ProgressError::Json(source),
        })?;
        let stages = match written {
            Written::Stages(stages) => stages,
            Written::Sampled { sketch: then, .. } if then != print(sketch) => {
                let now = print(sketch);
                return Err(EngineError::SketchChanged { then, now });
            }
            Written::Sampled { stages, .. } => stages,
        };
        Ok(Rules::new(stages, sketch.clone()))
    }
}

fn print(sketch: &Sketch) -> String {
    format!("{:016x}", sketch.fingerprint())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(json: &str, sketch: Sketch) -> Rules {
        Rules::new(serde_json::from_str(json).unwrap(), sketch)
    }

    #[test]
    fn rules_come_back_from_their_text_and_without_density_it_is_the_stages() {
        let plain = r#"[{"by":"random","rate":0.5,"mass":"documents","seed":7}]"#;
        let rules = [plain, r#"[{"by": "density"}, {"by": "random"}]"#]
            .map(|json| rules(json, Sketch::default()));
        assert_eq!(rules[0].to_text(), plain);
        for rules in rules {
            let read = Rules::from_text(&rules.to_text(), &rules.sketch, "w").unwrap();
            assert_eq!(read.stages, rules.stages);
        }
    }

    #[test]
    fn another_sketch_is_other_rules_that_cannot_be_run_any_more() {
        let text = rules(r#"[{"by": "density"}]"#, Sketch::default()).to_text();
        let other = Sketch {
            seed: 1,
            ..Sketch::default()
        };
        assert_ne!(
            rules(r#"[{"by": "density"}]"#, other.clone()).to_text(),
            text
        );
        let error = Rules::from_text(&text, &other, "w").err().unwrap();
        assert!(
            matches!(error, EngineError::SketchChanged { .. }),
            "{error}"
        );
    }
}

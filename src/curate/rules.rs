//! The rules: what is kept of the live documents, as configured and as progress records keep it.

use std::sync::Arc;

use mixtures::LiveMixture;
use operators::Weights;
use serde::{Deserialize, Serialize};

use super::groups::Groups;
use crate::config::{SKILL, Sketch, Stage};
use crate::engine::EngineError;
use crate::records::{Progress, ProgressError};

/// What is kept of the live documents.
#[derive(Clone)]
pub struct Rules {
    /// The selection stages, in order.
    pub stages: Vec<Stage>,
    /// The sketch that a stage by density counts in.
    pub sketch: Sketch,
    /// What is known of skills, and done with them.
    pub skills: Skills,
    /// The fields that the stages group by.
    pub groups: Groups,
    /// The epoch whose changes are published already, because it is read again under the same
    /// rules: the stages tell its summaries alone.
    pub replayed: Option<u64>,
}

/// What is known of skills, and done with them.
#[derive(Clone, Default)]
pub struct Skills {
    /// Whether documents have skills: then there are statistics of each.
    pub are_known: bool,
    /// The field that names a document's skill; without one the scored record does.
    pub field: Option<String>,
    /// Where the mixture comes from.
    pub mixture: Mixing,
}

/// Where the mixture of skills comes from.
#[derive(Clone, Default)]
pub enum Mixing {
    /// There is none.
    #[default]
    None,
    /// It follows from the log of losses, and is published.
    Follow {
        /// The mixture before the first report.
        start: Arc<LiveMixture>,
        /// A text that other settings do not have.
        fingerprint: String,
    },
    /// It was in force when other rules were: these are its weights.
    Was(Weights),
}

impl Mixing {
    /// Whether it is published.
    pub fn is_followed(&self) -> bool {
        matches!(self, Mixing::Follow { .. })
    }
}

/// Rules as text. Without skills and a stage by density they are the stages alone.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Stages(Vec<Stage>),
    With {
        /// With a stage by density, the fingerprint of the sketch, as 16 hexadecimal digits.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sketch: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        skills: Option<WrittenSkills>,
        stages: Vec<Stage>,
    },
}

#[derive(Serialize, Deserialize)]
struct WrittenSkills {
    field: Option<String>,
    /// The fingerprint of the mixture's settings.
    mixture: Option<String>,
}

impl Rules {
    /// Keeps what these stages keep.
    pub fn new(stages: Vec<Stage>, sketch: Sketch, skills: Skills) -> Self {
        let by_skill = skills.are_known.then_some(SKILL);
        let fields = stages.iter().filter_map(Stage::group_by).chain(by_skill);
        Rules {
            groups: Groups::new(fields.map(str::to_owned), skills.field.as_deref()),
            stages,
            sketch,
            skills,
            replayed: None,
        }
    }

    /// The place of the stage by density, if there is one.
    pub fn by_density(&self) -> Option<usize> {
        self.stages.iter().position(Stage::is_by_density)
    }

    /// What a progress record keeps of the rules: text that [`Rules::from_progress`] reads back.
    pub fn to_text(&self) -> String {
        let stages = self.stages.clone();
        let sketch = self.by_density().map(|_| print(&self.sketch));
        let mixture = match &self.skills.mixture {
            Mixing::Follow { fingerprint, .. } => Some(fingerprint.clone()),
            _ => None,
        };
        let field = self.skills.field.clone();
        let skills = self.skills.are_known || mixture.is_some();
        let skills = skills.then_some(WrittenSkills { field, mixture });
        let written = match (&sketch, &skills) {
            (None, None) => Written::Stages(stages),
            _ => Written::With {
                sketch,
                skills,
                stages,
            },
        };
        serde_json::to_string(&written).expect("stages can be written as JSON")
    }

    /// The rules of an earlier run of the writer, whose codes were made under this sketch, with the
    /// mixture that was in force.
    ///
    /// # Errors
    /// [`EngineError::Progress`] when the text does not read; [`EngineError::SketchChanged`] when
    /// the codes that were counted are of another sketch: then nobody knows its shape.
    pub fn from_progress(
        progress: &Progress,
        sketch: &Sketch,
        writer: &str,
    ) -> Result<Self, EngineError> {
        let written =
            serde_json::from_str(&progress.rules).map_err(|source| EngineError::Progress {
                writer: writer.to_owned(),
                source: ProgressError::Json(source),
            })?;
        let (then, skills, stages) = match written {
            Written::Stages(stages) => (None, None, stages),
            Written::With {
                sketch,
                skills,
                stages,
            } => (sketch, skills, stages),
        };
        let now = print(sketch);
        if let Some(then) = then.filter(|then| *then != now) {
            return Err(EngineError::SketchChanged { then, now });
        }
        // Nobody asks for the statistics of other rules.
        let skills = Skills {
            are_known: false,
            field: skills.and_then(|skills| skills.field),
            mixture: Mixing::Was(weights(progress)),
        };
        Ok(Rules::new(stages, sketch.clone(), skills))
    }
}

/// Whether the rules of a progress record read.
#[cfg(feature = "fuzzing")]
pub(crate) fn rules_of_progress(progress: &Progress, sketch: &Sketch) -> Result<(), EngineError> {
    Rules::from_progress(progress, sketch, "fuzz").map(|rules| drop(rules.to_text()))
}

fn weights(progress: &Progress) -> Weights {
    let weights = progress.weights.iter().flatten();
    // Parts of a billion.
    Weights::new(weights.map(|(skill, weight)| (*skill, *weight as u32)))
}

fn print(sketch: &Sketch) -> String {
    format!("{:016x}", sketch.fingerprint())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Offsets;

    fn rules(json: &str, sketch: Sketch) -> Rules {
        Rules::new(
            serde_json::from_str(json).unwrap(),
            sketch,
            Skills::default(),
        )
    }

    #[test]
    fn rules_come_back_from_their_text_and_without_density_it_is_the_stages() {
        let plain = r#"[{"by":"random","rate":0.5,"mass":"documents","seed":7}]"#;
        let rules = [plain, r#"[{"by": "density"}, {"by": "random"}]"#]
            .map(|json| rules(json, Sketch::default()));
        assert_eq!(rules[0].to_text(), plain);
        for rules in rules {
            let progress = Progress::new(1, Offsets::start(1), rules.to_text());
            let read = Rules::from_progress(&progress, &rules.sketch, "w").unwrap();
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
        let progress = Progress::new(1, Offsets::start(1), text);
        let error = Rules::from_progress(&progress, &other, "w").err().unwrap();
        assert!(
            matches!(error, EngineError::SketchChanged { .. }),
            "{error}"
        );
    }
}

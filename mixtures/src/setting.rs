//! How the skills that are trained on and those that are evaluated lie to each other.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Graph;

/// The settings of Skill-It, by which skills are evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setting {
    /// The skills that are trained on.
    #[default]
    ContinualPreTraining,
    /// Some of the skills that are trained on.
    FineTuning,
    /// Others than those that are trained on.
    OutOfDomain,
}

impl fmt::Display for Setting {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(match self {
            Setting::ContinualPreTraining => "continual-pre-training",
            Setting::FineTuning => "fine-tuning",
            Setting::OutOfDomain => "out-of-domain",
        })
    }
}

/// A graph that is not of its setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// A skill that is evaluated must be trained on and is not.
    #[error(
        "{setting} evaluates skills that are trained on, and the graph has no row for the \
         evaluation skill {skill:?}; add it, or choose another setting"
    )]
    NotTrained {
        /// The setting.
        setting: Setting,
        /// The evaluation skill.
        skill: String,
    },
    /// A skill that is trained on must be evaluated and is not.
    #[error(
        "continual-pre-training evaluates every skill that is trained on, and the graph has no \
         column for the training skill {skill:?}; add it, or choose fine-tuning"
    )]
    NotEvaluated {
        /// The training skill.
        skill: String,
    },
    /// A skill that is evaluated must not be trained on and is.
    #[error(
        "out-of-domain evaluates skills that are not trained on, and the graph has both a row and \
         a column for {skill:?}; choose fine-tuning"
    )]
    Trained {
        /// The skill.
        skill: String,
    },
}

impl Setting {
    /// Passes when the graph's rows and columns lie to each other as the setting says.
    ///
    /// # Errors
    /// [`SettingError`], with the first skill that does not fit.
    pub fn check(self, graph: &Graph) -> Result<(), SettingError> {
        let names = |skills: &[String]| skills.iter().cloned().collect::<HashSet<String>>();
        let (training, evaluation) = (names(graph.training()), names(graph.evaluation()));
        let untrained = graph.evaluation().iter().find(|it| !training.contains(*it));
        let unevaluated = graph.training().iter().find(|it| !evaluation.contains(*it));
        let shared = graph.evaluation().iter().find(|it| training.contains(*it));
        let not_trained = |skill: &String| SettingError::NotTrained {
            setting: self,
            skill: skill.clone(),
        };
        let not_evaluated = |skill: &String| SettingError::NotEvaluated {
            skill: skill.clone(),
        };
        let trained = |skill: &String| SettingError::Trained {
            skill: skill.clone(),
        };
        let problem = match self {
            Setting::ContinualPreTraining => untrained
                .map(not_trained)
                .or(unevaluated.map(not_evaluated)),
            Setting::FineTuning => untrained.map(not_trained),
            Setting::OutOfDomain => shared.map(trained),
        };
        problem.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(training: &[&str], evaluation: &[&str]) -> Graph {
        let names = |skills: &[&str]| skills.iter().map(|it| it.to_string()).collect();
        let edges = vec![vec![1.0; evaluation.len()]; training.len()];
        Graph::new(names(training), names(evaluation), &edges).unwrap()
    }

    #[test]
    fn each_setting_takes_its_own_graphs_alone() {
        use Setting::*;
        let same = graph(&["a", "b"], &["b", "a"]);
        let some = graph(&["a", "b"], &["b"]);
        let others = graph(&["a", "b"], &["c"]);
        let mixed = graph(&["a", "b"], &["a", "c"]);
        let passes = |setting: Setting| {
            [&same, &some, &others, &mixed].map(|graph| setting.check(graph).is_ok())
        };
        assert_eq!(passes(ContinualPreTraining), [true, false, false, false]);
        assert_eq!(passes(FineTuning), [true, true, false, false]);
        assert_eq!(passes(OutOfDomain), [false, false, true, false]);
    }

    #[test]
    fn an_error_names_the_setting_and_the_first_skill_that_does_not_fit() {
        let error = Setting::FineTuning.check(&graph(&["a"], &["a", "c", "d"]));
        let message = error.unwrap_err().to_string();
        assert!(
            message.starts_with("fine-tuning") && message.contains("\"c\""),
            "{message}"
        );
        let error = Setting::ContinualPreTraining.check(&graph(&["a", "b"], &["a"]));
        assert!(error.unwrap_err().to_string().contains("\"b\""));
    }
}

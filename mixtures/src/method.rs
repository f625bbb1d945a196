//! The ways to a mixture: Skill-It, and what it is compared with.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::apportion::{apportion_above, integers};
use crate::{Evaluations, Graph, Mixture, Setting, SettingError, SkillIt, WHOLE};

/// Largest step size. Those of the paper are 0.1 to 100; this only keeps exponents finite.
const ETA_MAX: f64 = 1e6;
/// Most evaluations of a window.
const WINDOW_MAX: usize = 10_000;

/// How a mixture is found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// By the losses, through the graph.
    SkillIt(SkillIt),
    /// Equal weights: of all training skills in continual pre-training, of those that help an
    /// evaluation skill out of domain, and of these and the evaluation skills in fine-tuning.
    Stratified,
    /// In proportion to given weights by skill; one that is not named has none.
    Fixed(BTreeMap<String, f64>),
    /// In proportion to what there is of each skill.
    Proportional,
}

impl Method {
    /// The method's name, as it is configured.
    pub fn name(&self) -> &'static str {
        match self {
            Method::SkillIt(_) => "skill-it",
            Method::Stratified => "stratified",
            Method::Fixed(_) => "fixed",
            Method::Proportional => "proportional",
        }
    }
}

/// Why a mixture cannot be found like this.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RuleError {
    /// The graph is not of the setting.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The step size is no usable number.
    #[error("the step size eta is {0}, and must be from 0 to {ETA_MAX}")]
    Eta(f64),
    /// The window is empty or too long.
    #[error("the window is {0} evaluations, and must be from 1 to {WINDOW_MAX}")]
    Window(usize),
    /// The floor cannot be given to every skill.
    #[error(
        "a floor of {floor} billionths for each of {skills} skills is more than the whole; it can \
         be at most {most}"
    )]
    Floor {
        /// The floor asked for, in parts of [`WHOLE`].
        floor: u64,
        /// How many skills there are.
        skills: usize,
        /// The largest floor.
        most: u64,
    },
    /// A fixed weight is of a skill that is not trained on.
    #[error("there is a fixed weight for {0:?}, which is no training skill of the graph")]
    UnknownSkill(String),
    /// A fixed weight is no usable number.
    #[error("the fixed weight of {skill:?} is {weight}, and must be finite and not negative")]
    Weight {
        /// The skill.
        skill: String,
        /// Its weight.
        weight: f64,
    },
    /// All fixed weights are zero.
    #[error("no skill has a fixed weight above zero")]
    NoWeight,
    /// Out of domain, no skill helps any that is evaluated.
    #[error(
        "stratified sampling out of domain is over the skills that help an evaluation skill, and \
         no edge of the graph is above zero"
    )]
    NoPrerequisite,
}

/// How mixtures follow from losses and masses: a checked graph, setting, method and floor.
#[derive(Clone, Debug)]
pub struct MixtureRule {
    graph: Graph,
    skills: Arc<[String]>,
    setting: Setting,
    method: Method,
    floor: u64,
    /// The weights of methods that no loss and no mass changes.
    constant: Option<Vec<u64>>,
}

impl MixtureRule {
    /// The rule, of which no skill gets less than `floor` parts of [`WHOLE`].
    ///
    /// # Errors
    /// [`RuleError`]: the graph is not of the setting, or a value cannot be used.
    pub fn new(
        graph: Graph,
        setting: Setting,
        method: Method,
        floor: u64,
    ) -> Result<Self, RuleError> {
        setting.check(&graph)?;
        let skills = graph.training().len();
        let most = WHOLE / skills as u64;
        if floor > most {
            return Err(RuleError::Floor {
                floor,
                skills,
                most,
            });
        }
        let constant = match &method {
            Method::SkillIt(skill_it) => {
                check_skill_it(skill_it)?;
                None
            }
            Method::Stratified => Some(stratified(&graph, setting)?),
            Method::Fixed(weights) => Some(fixed(&graph, weights)?),
            Method::Proportional => None,
        };
        let halved = matches!(&method, Method::SkillIt(skill_it) if skill_it.halve_ones);
        let graph = if halved {
            graph.with_halved_ones()
        } else {
            graph
        };
        Ok(MixtureRule {
            skills: graph.shared_training(),
            graph,
            setting,
            method,
            floor,
            constant,
        })
    }

    /// The graph that counts, halved if the method halves it.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// How many of the last complete evaluations the mixture depends on; 0 for methods that depend
    /// on none.
    pub fn window(&self) -> usize {
        match &self.method {
            Method::SkillIt(skill_it) => skill_it.window,
            _ => 0,
        }
    }

    /// Whether the mixture depends on what there is of each skill.
    pub fn needs_masses(&self) -> bool {
        self.method == Method::Proportional
    }

    /// The mixture that follows.
    ///
    /// `evaluations` are [`crate::Losses::evaluations`] of [`MixtureRule::window`]. `masses` has an
    /// entry a training skill for a rule that [`needs_masses`](Self::needs_masses), and is not
    /// looked at otherwise; where all are zero the weights are equal.
    ///
    /// # Panics
    /// If `masses` is needed and has another length.
    pub fn mixture(&self, evaluations: &Evaluations, masses: &[u64]) -> Mixture {
        let averaged = self.setting == Setting::FineTuning;
        let computed;
        let weights: &[u64] = match (&self.constant, &self.method) {
            (Some(weights), _) => weights,
            (None, Method::SkillIt(skill_it)) => {
                computed = integers(&skill_it.weights(&self.graph, evaluations, averaged));
                &computed
            }
            (None, _) => {
                assert_eq!(masses.len(), self.skills.len(), "a mass a training skill");
                masses
            }
        };
        let follows = match self.method {
            Method::SkillIt(_) => evaluations.last,
            _ => None,
        };
        let parts = apportion_above(WHOLE, self.floor, weights);
        Mixture::new(Arc::clone(&self.skills), parts, follows)
    }
}

fn check_skill_it(skill_it: &SkillIt) -> Result<(), RuleError> {
    if !(0.0..=ETA_MAX).contains(&skill_it.eta) {
        return Err(RuleError::Eta(skill_it.eta));
    }
    if !(1..=WINDOW_MAX).contains(&skill_it.window) {
        return Err(RuleError::Window(skill_it.window));
    }
    Ok(())
}

fn stratified(graph: &Graph, setting: Setting) -> Result<Vec<u64>, RuleError> {
    let evaluated: HashSet<&String> = graph.evaluation().iter().collect();
    let skills = graph.training().iter().zip(graph.prerequisites());
    let counts = skills.map(|(skill, prerequisite)| match setting {
        Setting::ContinualPreTraining => true,
        Setting::FineTuning => prerequisite || evaluated.contains(skill),
        Setting::OutOfDomain => prerequisite,
    });
    let weights: Vec<u64> = counts.map(u64::from).collect();
    if weights.iter().all(|weight| *weight == 0) {
        return Err(RuleError::NoPrerequisite);
    }
    Ok(weights)
}

fn fixed(graph: &Graph, by_skill: &BTreeMap<String, f64>) -> Result<Vec<u64>, RuleError> {
    let known: HashSet<&String> = graph.training().iter().collect();
    for (skill, weight) in by_skill {
        if !known.contains(skill) {
            return Err(RuleError::UnknownSkill(skill.clone()));
        }
        if !(weight.is_finite() && *weight >= 0.0) {
            return Err(RuleError::Weight {
                skill: skill.clone(),
                weight: *weight,
            });
        }
    }
    if by_skill.values().all(|weight| *weight == 0.0) {
        return Err(RuleError::NoWeight);
    }
    let weight = |skill: &String| by_skill.get(skill).copied().unwrap_or(0.0);
    let weights: Vec<f64> = graph.training().iter().map(weight).collect();
    Ok(integers(&weights))
}

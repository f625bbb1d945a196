//! Mixtures of skills: how much of each to train on, from what a trainer says of its losses.
//!
//! A [`Graph`] says which training skills help which evaluation skills; it is read from a file or
//! learnt from curves of losses ([`learn()`]). [`Losses`] holds a trainer's reports, and a
//! [`MixtureRule`] turns the last complete evaluations into a [`Mixture`]: integers that add to
//! [`WHOLE`], the same on every machine. Everything here is a pure function: no I/O, no clocks.
//!
//! Source: Chen et al., "Skill-it! A data-driven skills framework for understanding and training
//! language models" (arXiv 2307.14430), and its reference code where the paper is silent.
//!
//! ```
//! use riffle_mixtures::{Graph, LiveMixture, Method, MixtureRule, Report, Setting, SkillIt};
//!
//! let graph = Graph::from_csv("skill,reason,write\nread,0,0.5\nreason,1,0\nwrite,0,1\n")?;
//! let skill_it = SkillIt { eta: 0.5, window: 3, ..SkillIt::default() };
//! let rule = MixtureRule::new(graph, Setting::FineTuning, Method::SkillIt(skill_it), 0)?;
//! let mut live = LiveMixture::new(rule, "r1");
//! assert_eq!(live.mixture(&[]).weights(), [280_265_066, 359_867_467, 359_867_467]);
//!
//! live.apply(&Report::parse(br#"{"run": "r1", "round": 1, "skill": "reason", "loss": 0.2}"#)?)?;
//! assert_eq!(live.mixture(&[]).follows(), None, "\"write\" is still missing");
//! live.apply(&Report::parse(br#"{"run": "r1", "round": 1, "skill": "write", "loss": 2.0}"#)?)?;
//! assert_eq!(live.mixture(&[]).weights(), [301_291_820, 201_961_947, 496_746_233]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod apportion;
mod graph;
mod learn;
mod live;
mod losses;
mod method;
mod mixture;
mod setting;
mod skill_it;

pub use apportion::sample_counts;
pub use graph::{Graph, GraphError, NAME_BYTES_MAX, SKILLS_MAX};
pub use learn::{CurveError, Curves, LearnError, LearnOptions, Rule, learn};
pub use live::LiveMixture;
pub use losses::{Applied, Evaluations, Losses, Mark, Report, ReportError, TooManyReports};
pub use method::{Method, MixtureRule, RuleError};
pub use mixture::{Mixture, WHOLE};
pub use setting::{Setting, SettingError};
pub use skill_it::SkillIt;

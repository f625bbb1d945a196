//! What the configuration says of skills and their mixture, made ready.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mixtures::{Graph, GraphError, LiveMixture, Method, MixtureRule, RuleError, SkillIt};

use crate::config::{Config, FieldPath, Mixture, MixtureMethod};
use crate::curate::{Mixing, Skills};

/// The largest graph file, in bytes: 2²⁴ edges of some 15 digits each.
const GRAPH_BYTES_MAX: u64 = 256 << 20;

/// Why there can be no mixture.
#[derive(Debug, thiserror::Error)]
pub enum MixtureError {
    /// The graph's file cannot be read.
    #[error("mixture.graph: cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// The graph's file is too large.
    #[error("mixture.graph: {path} has {bytes} bytes, more than {GRAPH_BYTES_MAX}", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The file, or the list of skills, is no graph.
    #[error("mixture.{key}: {source}")]
    Graph {
        /// The key that gave it.
        key: &'static str,
        /// What is wrong.
        source: GraphError,
    },
    /// The settings do not go together.
    #[error("[mixture]: {0}")]
    Rule(#[from] RuleError),
}

/// What is known of skills, and the mixture that follows.
///
/// # Errors
/// [`MixtureError`] when there is a mixture, and it cannot be found as configured.
pub fn skills(config: &Config) -> Result<Skills, MixtureError> {
    Ok(Skills {
        are_known: config.skills.are_known(),
        field: config
            .skills
            .field
            .as_ref()
            .map(|it| FieldPath::as_str(it).to_owned()),
        mixture: mixing(&config.mixture)?,
    })
}

fn mixing(mixture: &Mixture) -> Result<Mixing, MixtureError> {
    if !mixture.is_configured() {
        return Ok(Mixing::None);
    }
    let graph = graph(mixture)?;
    let floor = mixture
        .floor
        .map_or(0, |floor| u64::from(floor.ppm()) * 1000);
    let fingerprint = fingerprint(mixture, &graph);
    let rule = MixtureRule::new(graph, mixture.setting, method(mixture), floor)?;
    Ok(Mixing::Follow {
        start: Arc::new(LiveMixture::new(rule, &mixture.run)),
        fingerprint,
    })
}

fn graph(mixture: &Mixture) -> Result<Graph, MixtureError> {
    let of = |key| move |source| MixtureError::Graph { key, source };
    let Some(path) = &mixture.graph else {
        return Graph::identity(mixture.skills.clone()).map_err(of("skills"));
    };
    let text = read(path)?;
    let is_csv = path
        .extension()
        .is_some_and(|it| it.eq_ignore_ascii_case("csv"));
    let graph = match is_csv {
        true => Graph::from_csv(&text),
        false => Graph::from_json(&text),
    };
    graph.map_err(of("graph"))
}

fn read(path: &Path) -> Result<String, MixtureError> {
    let failed = |source| MixtureError::Read {
        path: path.to_owned(),
        source,
    };
    let bytes = fs::metadata(path).map_err(failed)?.len();
    if bytes > GRAPH_BYTES_MAX {
        let path = path.to_owned();
        return Err(MixtureError::TooLarge { path, bytes });
    }
    fs::read_to_string(path).map_err(failed)
}

fn method(mixture: &Mixture) -> Method {
    match mixture.method {
        MixtureMethod::SkillIt => Method::SkillIt(SkillIt {
            eta: mixture.eta,
            window: mixture.window.into(),
            eta_schedule: mixture.eta_schedule,
            normalise_losses: mixture.normalise_losses,
            halve_ones: mixture.halve_ones,
        }),
        MixtureMethod::Stratified => Method::Stratified,
        MixtureMethod::Fixed => Method::Fixed(mixture.weights.clone()),
        MixtureMethod::Proportional => Method::Proportional,
    }
}

/// Sixteen hexadecimal digits that other settings, or another graph, do not have.
fn fingerprint(mixture: &Mixture, graph: &Graph) -> String {
    let settings = Mixture {
        graph: None,
        skills: Vec::new(),
        topic: String::new(),
        losses_topic: String::new(),
        dead_letters_topic: String::new(),
        ..mixture.clone()
    };
    let mut hasher = blake3::Hasher::new();
    hasher.update(&serde_json::to_vec(&settings).expect("settings become JSON"));
    hasher.update(graph.to_json().as_bytes());
    hasher.finalize().to_hex()[..16].to_owned()
}

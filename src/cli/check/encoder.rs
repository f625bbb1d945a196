//! The text encoder: whether its directory can be read, and its embeddings hashed.

use kernels::{EncoderConfig, Pooling};

use super::finding::{Finding, Status};
use crate::config::{Config, Stage};

const WHAT: &str = "encoder";
const FIX: &str = "set score.encoder to a Hugging Face directory of the BERT family, such as \
                   all-MiniLM-L6-v2, or to \"\" for none";

/// The shape of the encoder that would be loaded, where one is configured, and whether one is missing.
/// Its weights are not read.
pub(super) fn check(config: &Config) -> Option<Finding> {
    let Some(path) = config.score.encoder.as_deref() else {
        // `curate` alone could do without.
        let samples = config.select.iter().any(Stage::is_by_density);
        let found = "none, and a stage selects by density";
        return samples.then(|| Finding::new(Status::Fail, WHAT, found).fix(FIX));
    };
    let shape = kernels::describe_encoder(path).map_err(|error| error.to_string());
    let hashed = shape.and_then(|shape| {
        let checked = config.sketch.lsh().check(shape.width);
        checked.map_err(|error| error.to_string()).map(|()| shape)
    });
    Some(match hashed {
        Ok(shape) => {
            let (sizes, backend) = (sizes(&shape), kernels::cpu_backend());
            let found = format!("{}: {sizes}; on {backend}", path.display());
            Finding::new(Status::Ok, WHAT, found)
        }
        Err(reason) => Finding::new(Status::Fail, WHAT, reason).fix(FIX),
    })
}

fn sizes(shape: &EncoderConfig) -> String {
    let pooling = match shape.pooling {
        Pooling::Mean => "the mean of all tokens",
        Pooling::First => "the first token",
    };
    let scaled = match shape.normalised {
        true => ", scaled to length 1",
        false => "",
    };
    format!(
        "{}, {:.1} million parameters, {} layers, {} dimensions, reads up to {} tokens, pools by \
         {pooling}{scaled}",
        shape.name,
        shape.parameters() as f64 / 1e6,
        shape.layers,
        shape.width,
        shape.tokens_max,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_told_in_a_line() {
        let shape = EncoderConfig {
            name: "all-MiniLM-L6-v2".into(),
            layers: 6,
            width: 384,
            hidden: 1536,
            heads: 12,
            vocabulary: 30522,
            positions: 512,
            token_types: 2,
            norm_epsilon: 1e-12,
            tokens_max: 256,
            pooling: Pooling::Mean,
            normalised: true,
        };
        assert_eq!(
            sizes(&shape),
            "all-MiniLM-L6-v2, 22.6 million parameters, 6 layers, 384 dimensions, reads up to 256 \
             tokens, pools by the mean of all tokens, scaled to length 1"
        );
    }

    #[test]
    fn no_encoder_is_nothing_to_tell_and_a_missing_one_a_failure() {
        let mut config = Config::default();
        assert!(check(&config).is_none());
        config.score.encoder = Some("no/such/directory".into());
        let finding = check(&config).unwrap();
        assert_eq!(finding.status, Status::Fail);
        assert!(
            finding.found.contains("no/such/directory"),
            "{}",
            finding.found
        );
    }
}

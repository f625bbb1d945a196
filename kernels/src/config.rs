//! The shape of a Llama-family decoder, checked before anything of that size is allocated.

use std::path::Path;

use crate::ModelError;

/// The shape of a decoder. Every field is inside its limits once [`Config::check`] has passed.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The model's own name, or its file's.
    pub name: String,
    /// Decoder layers.
    pub layers: usize,
    /// `C`, channels of the residual stream.
    pub width: usize,
    /// `F`, channels inside the feed-forward layer.
    pub hidden: usize,
    /// `H`, query heads.
    pub heads: usize,
    /// `G`, key/value heads; each serves `H / G` query heads.
    pub kv_heads: usize,
    /// `D`, channels of one head; even, because rotary embedding turns pairs.
    pub head_width: usize,
    /// `V`, token ids.
    pub vocabulary: usize,
    /// Longest document in tokens.
    pub context: usize,
    /// Base of the rotary embedding's wavelengths.
    pub rope_base: f64,
    /// What RMSNorm adds to the mean square.
    pub norm_epsilon: f32,
    /// Whether the LM head is the transposed token embedding.
    pub tied: bool,
}

impl Config {
    /// Passes when every size is one that a real model could have.
    ///
    /// The limits keep every product of sizes below 2⁶³, so later arithmetic cannot overflow.
    ///
    /// # Errors
    /// [`ModelError::OutOfRange`] or [`ModelError::Unsupported`], for the first field that is not.
    pub fn check(&self, path: &Path) -> Result<(), ModelError> {
        let limits = [
            ("number of layers", self.layers, 1, 1 << 10),
            ("embedding width", self.width, 1, 1 << 16),
            ("feed-forward width", self.hidden, 1, 1 << 18),
            ("number of heads", self.heads, 1, 1 << 10),
            ("number of key/value heads", self.kv_heads, 1, self.heads),
            ("head width", self.head_width, 2, 1 << 10),
            ("vocabulary", self.vocabulary, 1, 1 << 22),
            ("context length", self.context, 1, 1 << 22),
        ];
        check_limits(path, &limits)?;
        let unsupported = |what| {
            Err(ModelError::Unsupported {
                path: path.into(),
                what,
            })
        };
        if !self.heads.is_multiple_of(self.kv_heads) {
            return unsupported(format!(
                "{} heads over {} key/value heads",
                self.heads, self.kv_heads
            ));
        }
        if !self.head_width.is_multiple_of(2) {
            return unsupported(format!("an odd head width, {},", self.head_width));
        }
        if !(self.rope_base.is_finite() && self.rope_base > 1.0) {
            return unsupported(format!("rotary base {}", self.rope_base));
        }
        if !(self.norm_epsilon.is_finite() && self.norm_epsilon >= 0.0) {
            return unsupported(format!("norm epsilon {}", self.norm_epsilon));
        }
        Ok(())
    }

    /// `H · D`, channels of all query heads.
    pub fn query_width(&self) -> usize {
        self.heads * self.head_width
    }

    /// `G · D`, channels of all key heads, and of all value heads.
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_width
    }

    /// Weights of the model, tied ones counted once.
    pub fn parameters(&self) -> u64 {
        let [layers, width, hidden] = [self.layers, self.width, self.hidden].map(|n| n as u64);
        let attention = width * (2 * self.query_width() as u64 + 2 * self.kv_width() as u64);
        let layer = attention + 3 * width * hidden + 2 * width;
        let embeddings = width * self.vocabulary as u64 * if self.tied { 1 } else { 2 };
        layers * layer + width + embeddings
    }

    /// Floating-point operations to score one token at position `position` of its document.
    ///
    /// A multiplication and an addition are two. Norms, softmax and SwiGLU are not counted: at
    /// SmolLM2's shape they are under 2 %.
    pub fn operations_per_token(&self, position: usize) -> f64 {
        let looked_up = if self.tied {
            0
        } else {
            self.width * self.vocabulary
        };
        let products = self.parameters() as f64 - looked_up as f64;
        let attention = 2.0 * (self.layers * self.query_width() * (position + 1)) as f64;
        2.0 * (products + attention)
    }
}

/// Passes when every quantity, given by name, value, least and most, is inside its limits.
///
/// # Errors
/// [`ModelError::OutOfRange`] for the first that is not.
pub(crate) fn check_limits(
    path: &Path,
    limits: &[(&str, usize, usize, usize)],
) -> Result<(), ModelError> {
    let outside =
        |(_, value, least, most): &&(&str, usize, usize, usize)| !(least..=most).contains(&value);
    match limits.iter().find(outside) {
        None => Ok(()),
        Some((key, value, least, most)) => Err(ModelError::OutOfRange {
            path: path.into(),
            key: (*key).into(),
            value: *value as u64,
            least: *least as u64,
            most: *most as u64,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn smollm2() -> Config {
        Config {
            name: "SmolLM2-135M".into(),
            layers: 30,
            width: 576,
            hidden: 1536,
            heads: 9,
            kv_heads: 3,
            head_width: 64,
            vocabulary: 49152,
            context: 8192,
            rope_base: 100_000.0,
            norm_epsilon: 1e-5,
            tied: true,
        }
    }

    #[test]
    fn parameters_of_smollm2_are_the_published_count() {
        assert_eq!(smollm2().parameters(), 134_515_008);
    }

    #[test]
    fn operations_are_two_a_weight_plus_attention() {
        let operations = smollm2().operations_per_token(511);
        assert!(
            (operations / 1e6 - 269.03 - 35.39).abs() < 0.1,
            "{operations}"
        );
    }

    #[test]
    fn sizes_outside_their_limits_are_refused_by_name() {
        type Change = fn(&mut Config);
        let break_one: [(&str, Change); 6] = [
            ("number of layers", |c| c.layers = 0),
            ("embedding width", |c| c.width = 1 << 17),
            ("number of key/value heads", |c| c.kv_heads = 10),
            ("9 heads over 4 key/value heads", |c| c.kv_heads = 4),
            ("odd head width", |c| c.head_width = 63),
            ("rotary base", |c| c.rope_base = f64::NAN),
        ];
        smollm2()
            .check(Path::new("m"))
            .expect("the real shape passes");
        for (claim, change) in break_one {
            let mut config = smollm2();
            change(&mut config);
            let error = config.check(Path::new("m")).expect_err(claim).to_string();
            assert!(error.contains(claim), "{error}");
        }
    }
}

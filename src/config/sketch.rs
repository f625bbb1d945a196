//! How embeddings become the codes that density is counted by: `[sketch]`.

use kernels::LshConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::values;

/// The buckets that hashes may have, in units of the embeddings' distance.
const WIDTH_LEAST: f64 = 1e-6;
const WIDTH_MOST: f64 = 1e6;

/// How embeddings become codes.
///
/// A section of its own since both halves need it: score makes the codes, curate counts them. They
/// are made once, so other settings need a scored log of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sketch {
    /// Codes of a document: more of them estimate densities better, and take more memory and time.
    #[serde(deserialize_with = "values::within::<1, 4096, _, _>")]
    #[schemars(range(min = 1, max = 4096))]
    pub rows: u16,
    /// Hashes that make one code: more of them see nearer neighbours only.
    #[serde(deserialize_with = "values::within::<1, 16, _, _>")]
    #[schemars(range(min = 1, max = 16))]
    pub concatenated: u8,
    /// Width of a hash's buckets, in units of the embeddings' distance: smaller ones see nearer
    /// neighbours only.
    #[serde(deserialize_with = "bucket_width")]
    #[schemars(range(min = WIDTH_LEAST, max = WIDTH_MOST))]
    pub bucket_width: f64,
    /// Different codes of a row: with fewer of them documents that are nothing alike meet.
    #[serde(deserialize_with = "values::within::<2, 65_536, _, _>")]
    #[schemars(range(min = 2, max = 65_536))]
    pub cells: u32,
    /// Another seed draws other hashes.
    #[serde(deserialize_with = "values::within::<0, { i64::MAX }, _, _>")]
    pub seed: u64,
}

impl Default for Sketch {
    fn default() -> Self {
        Sketch {
            rows: 128,
            concatenated: 4,
            bucket_width: 1.0,
            cells: 20_000,
            seed: 0,
        }
    }
}

impl Sketch {
    /// A number that codes of other settings do not have, and never 0: the first 8 bytes of the
    /// BLAKE3 of the settings' text, little-endian.
    pub fn fingerprint(&self) -> u64 {
        let Sketch {
            rows,
            concatenated,
            bucket_width,
            cells,
            seed,
        } = self;
        // The shortest decimals that give the same double back: equal widths have equal texts.
        let text = format!(
            "p-stable rows={rows} concatenated={concatenated} bucket_width={bucket_width} \
             cells={cells} seed={seed}"
        );
        let hash = blake3::hash(text.as_bytes());
        let first = hash.as_bytes().first_chunk().expect("a hash has 32 bytes");
        // 0 stands for no codes.
        u64::from_le_bytes(*first).max(1)
    }

    /// The hashes of these settings.
    pub fn lsh(&self) -> LshConfig {
        LshConfig {
            rows: self.rows.into(),
            concatenated: self.concatenated.into(),
            bucket_width: self.bucket_width,
            cells: self.cells as usize,
            seed: self.seed,
        }
    }
}

fn bucket_width<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let width = f64::deserialize(deserializer)?;
    match (WIDTH_LEAST..=WIDTH_MOST).contains(&width) {
        true => Ok(width),
        false => Err(de::Error::custom(format_args!(
            "{width} is not a number from {WIDTH_LEAST} to {WIDTH_MOST}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_changes_the_fingerprint() {
        let changed: [fn(&mut Sketch); 5] = [
            |sketch| sketch.rows += 1,
            |sketch| sketch.concatenated += 1,
            |sketch| sketch.bucket_width += f64::EPSILON,
            |sketch| sketch.cells += 1,
            |sketch| sketch.seed += 1,
        ];
        let of = |change: &fn(&mut Sketch)| {
            let mut sketch = Sketch::default();
            change(&mut sketch);
            sketch.fingerprint()
        };
        let mut prints: Vec<u64> = changed.iter().map(of).collect();
        prints.push(Sketch::default().fingerprint());
        prints.sort_unstable();
        prints.dedup();
        assert_eq!(prints.len(), 6);
    }

    /// Scored logs hold it.
    #[test]
    fn the_fingerprint_of_the_defaults_never_changes() {
        assert_eq!(Sketch::default().fingerprint(), 13_356_978_867_691_303_590);
    }

    #[test]
    fn every_allowed_setting_can_be_drawn() {
        for (rows, concatenated, bucket_width, cells) in
            [(1, 1, WIDTH_LEAST, 2), (4096, 16, WIDTH_MOST, 65_536)]
        {
            let sketch = Sketch {
                rows,
                concatenated,
                bucket_width,
                cells,
                seed: i64::MAX as u64,
            };
            assert_eq!(sketch.lsh().check(384), Ok(()));
        }
    }
}

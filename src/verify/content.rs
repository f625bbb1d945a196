//! The digest of what a curated record must hold, whenever its document was admitted.
//!
//! The epoch, and the density and weight as of that epoch, depend on when it was; the document's
//! bytes and all other measures do not. One function takes the digest of what is published and of
//! what should be.

use std::collections::BTreeMap;

use memchr::memmem;
use serde_json::value::RawValue;

use super::digest::{Digest, digest, first_half};

/// What stands before the measures, which are a curated document's last member. Quotation marks in
/// texts are escaped, so no text holds it.
const BEFORE_MEASURES: &[u8] = b",\"riffle\":";

/// Measures that depend on when the document was admitted.
const OF_ADMISSION: [&str; 3] = ["epoch", "density", "weight"];

/// The digest of a curated document that says to be admitted in `epoch`.
///
/// What is no curated document, or says that it is of another epoch, has a digest that no curated
/// document has.
pub fn content(value: &[u8], epoch: Option<u64>) -> Digest {
    of_curated(value, epoch).unwrap_or_else(|| digest(&[b"none of ours", value].concat()))
}

fn of_curated(value: &[u8], epoch: Option<u64>) -> Option<Digest> {
    let at = memmem::rfind(value, BEFORE_MEASURES)?;
    let measures = value[at + BEFORE_MEASURES.len()..].strip_suffix(b"}")?;
    let mut measures: BTreeMap<&str, &RawValue> = serde_json::from_slice(measures).ok()?;
    let told: u64 = measures.get("epoch")?.get().parse().ok()?;
    if Some(told) != epoch {
        return None;
    }
    measures.retain(|name, _| !OF_ADMISSION.contains(name));
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(at as u64).to_le_bytes());
    hasher.update(&value[..at]);
    for (name, measure) in measures {
        for part in [name, measure.get()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
    }
    Some(first_half(hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURATED: &str = r#"{"id":"a","text":"b","riffle":{"perplexity":2.5,"tokens":3,"density":1.5,"weight":1.0,"skill":"x","epoch":4}}"#;

    #[test]
    fn only_what_depends_on_the_admission_may_differ() {
        let of = |json: &str, epoch| content(json.as_bytes(), Some(epoch));
        let expected = of(CURATED, 4);
        let later = CURATED.replace(r#""epoch":4"#, r#""epoch":9"#);
        let undrawn = CURATED.replace(r#""density":1.5,"weight":1.0,"#, "");
        assert_eq!((of(&later, 9), of(&undrawn, 4)), (expected, expected));
        for (from, to) in [
            (r#""b""#, r#""c""#),
            (r#""a""#, r#" "a""#),
            ("2.5", "2.25"),
            (r#""tokens":3"#, r#""tokens":4"#),
            (r#""tokens":3,"#, ""),
            (r#""skill":"x""#, r#""skill":"y""#),
            (r#""skill":"x""#, r#""skill":"x","quality":1"#),
            (r#""epoch":4"#, r#""epoch":5"#),
            (r#""epoch":4"#, r#""epoch":"4""#),
            (r#","epoch":4"#, ""),
            ("riffle", "trifle"),
        ] {
            let other = CURATED.replacen(from, to, 1);
            assert_ne!(other, CURATED);
            assert_ne!(of(&other, 4), expected, "{other}");
        }
        assert_ne!(content(CURATED.as_bytes(), None), expected);
    }

    #[test]
    fn a_text_that_looks_like_measures_is_none() {
        let text = r#"{"id":"a","text":",\"riffle\":{\"epoch\":1}}","#;
        let curated = format!(r#"{text}"riffle":{{"perplexity":2.5,"epoch":4}}}}"#);
        let other = curated.replace(r#"\"epoch\":1"#, r#"\"epoch\":2"#);
        let of = |json: &str| content(json.as_bytes(), Some(4));
        assert_ne!(of(&curated), of(&other));
        assert_eq!(
            of(&curated),
            of(&curated.replace("\"epoch\":4", "\"epoch\":4 "))
        );
        assert!(of_curated(curated.as_bytes(), Some(4)).is_some());
    }
}

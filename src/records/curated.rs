//! Curated documents: the document as it came, with one object `riffle` added.

use serde::Serialize;

use super::Scored;

/// The object `riffle` of a curated document. What was not measured is left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measures<'a> {
    /// Exponential of the mean negative log-likelihood a token.
    pub perplexity: f64,
    /// Tokens scored; absent when the score came from a field without a count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u32>,
    /// About how many live documents stood where it stands, itself among them, when it was drawn
    /// by density.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub density: Option<f32>,
    /// The inverse of the probability with which a document of that density was drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f32>,
    /// Ask-LLM's P(yes).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<f32>,
    /// The skill it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skill: Option<&'a str>,
    /// The epoch in which this version of the document was admitted.
    pub epoch: u64,
}

impl<'a> Measures<'a> {
    /// What `scored` says of the document, admitted in `epoch`; not drawn by density.
    pub fn new(scored: &Scored<'a>, epoch: u64) -> Self {
        Measures {
            perplexity: scored.perplexity(),
            tokens: (scored.tokens > 0).then_some(scored.tokens),
            density: None,
            weight: None,
            quality: scored.quality,
            skill: scored.skill,
            epoch,
        }
    }

    /// The curated document: `document`, a JSON object with at least one member, with this added
    /// as its last member. The other members keep their bytes.
    pub fn add_to(&self, document: &[u8]) -> Vec<u8> {
        let object = document
            .trim_ascii_end()
            .strip_suffix(b"}")
            .unwrap_or(document);
        let mut curated = Vec::with_capacity(object.len() + 96);
        curated.extend_from_slice(object.trim_ascii_end());
        curated.extend_from_slice(b",\"riffle\":");
        serde_json::to_writer(&mut curated, self).expect("numbers can be written as JSON");
        curated.push(b'}');
        curated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_keeps_its_bytes_and_gains_the_measures() {
        let measures = Measures {
            perplexity: 2.5,
            tokens: Some(3),
            density: Some(4.5),
            weight: Some(1.0),
            quality: None,
            skill: None,
            epoch: 4,
        };
        let curated = measures.add_to(b"{\"id\": \"a\", \"text\": \"}\" } \n");
        assert_eq!(
            String::from_utf8(curated).unwrap(),
            r#"{"id": "a", "text": "}","riffle":{"perplexity":2.5,"tokens":3,"density":4.5,"weight":1.0,"epoch":4}}"#
        );
    }
}

//! Digests of documents and of sets of them.

use std::fmt;

use serde::{Serialize, Serializer};

/// Half a BLAKE3: of an id, or of what is published of a document.
pub type Digest = [u8; 16];

/// The digest of these bytes.
pub fn digest(bytes: &[u8]) -> Digest {
    first_half(blake3::hash(bytes))
}

/// The first half of a hash.
pub fn first_half(hash: blake3::Hash) -> Digest {
    *hash.as_bytes().first_chunk().expect("a hash has 32 bytes")
}

/// The digest of a set of documents: the sum of theirs, so that their order does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetDigest(u128);

impl SetDigest {
    /// Adds a document with this content.
    pub fn add(&mut self, id: &Digest, content: &Digest) {
        let mut both = [0; 32];
        both[..16].copy_from_slice(id);
        both[16..].copy_from_slice(content);
        let of_both = u128::from_be_bytes(digest(&both));
        self.0 = self.0.wrapping_add(of_both);
    }
}

impl fmt::Display for SetDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for SetDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_one_digest_in_any_order_and_others_have_another() {
        let of = |pairs: &[(&str, &str)]| {
            let mut set = SetDigest::default();
            for (id, content) in pairs {
                set.add(&digest(id.as_bytes()), &digest(content.as_bytes()));
            }
            set
        };
        let set = of(&[("a", "x"), ("b", "y")]);
        assert_eq!(set, of(&[("b", "y"), ("a", "x")]));
        for other in [
            &[("a", "y"), ("b", "x")][..],
            &[("a", "x")],
            &[("a", "x"), ("b", "y"), ("b", "y")],
            &[],
        ] {
            assert_ne!(set, of(other), "{other:?}");
        }
        assert_eq!(of(&[]).to_string(), "0".repeat(32));
    }
}

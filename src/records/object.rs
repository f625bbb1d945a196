//! JSON objects, parsed such that every later reader of the same bytes can parse them too.

use std::fmt;

use memchr::memchr2_iter;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::DocumentError;

/// The deepest nesting that JSON parsers which build a tree take, serde_json's among them.
const DEPTH_MAX: usize = 127;

/// What `T` takes of the JSON object in `json`.
///
/// Nesting deeper than 127 levels is refused, in members that `T` passes over too.
///
/// # Errors
/// [`DocumentError`] when the bytes are no UTF-8, no JSON object, nested too deeply, or do not fit
/// `T`.
pub(crate) fn parse_object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, DocumentError> {
    let text = std::str::from_utf8(json).map_err(|error| DocumentError::Utf8 {
        byte: error.valid_up_to(),
    })?;
    // serde would also take an array of the members' values for the object.
    if !text.trim_start().starts_with('{') {
        return Err(DocumentError::Json("a JSON object is expected".into()));
    }
    let invalid = |error: serde_json::Error| DocumentError::Json(error.to_string());
    let object = serde_json::from_str(text).map_err(invalid)?;
    if memchr2_iter(b'{', b'[', json).nth(DEPTH_MAX).is_some() {
        serde_json::from_str::<Nested>(text).map_err(invalid)?;
    }
    Ok(object)
}

/// JSON of any form, which counts against the parser's limit of nesting, as `IgnoredAny` does not.
struct Nested;

impl<'de> Deserialize<'de> for Nested {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Nested)
    }
}

impl<'de> Visitor<'de> for Nested {
    type Value = Nested;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Nested, E> {
        Ok(Nested)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Nested, E> {
        Ok(Nested)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Nested, E> {
        Ok(Nested)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Nested, E> {
        Ok(Nested)
    }

    fn visit_str<E>(self, _: &str) -> Result<Nested, E> {
        Ok(Nested)
    }

    fn visit_unit<E>(self) -> Result<Nested, E> {
        Ok(Nested)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Nested, A::Error> {
        while seq.next_element::<Nested>()?.is_some() {}
        Ok(Nested)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Nested, A::Error> {
        while map.next_key::<IgnoredAny>()?.is_some() {
            map.next_value::<Nested>().map_err(A::Error::custom)?;
        }
        Ok(Nested)
    }
}

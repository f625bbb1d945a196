//! The small values that keys take, each checked where it is read.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::FieldPath;

/// The longest name of a Kafka topic, in bytes.
const TOPIC_BYTES_MAX: usize = 249;

/// The kind of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogKind {
    /// Files under `local.dir`.
    Local,
    /// A topic of the Kafka cluster at `bootstrap.servers`.
    Kafka,
}

/// A field of the document that a value is read from: `{ field = "metadata.length" }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldOf {
    /// The field's path: names joined by dots, such as metadata.perplexity.
    pub field: FieldPath,
}

/// Where a document's perplexity comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PerplexityFrom {
    /// The reference model computes it.
    Model,
    /// It stands in this field of the document, and no model is loaded.
    Field(FieldPath),
}

impl Serialize for PerplexityFrom {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            PerplexityFrom::Model => serializer.serialize_str("model"),
            PerplexityFrom::Field(field) => FieldOf {
                field: field.clone(),
            }
            .serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for PerplexityFrom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PerplexityVisitor)
    }
}

/// By hand, since serde's untagged enums say only that no variant matched.
struct PerplexityVisitor;

impl<'de> de::Visitor<'de> for PerplexityVisitor {
    type Value = PerplexityFrom;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"model\" or { field = \"metadata.perplexity\" }")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<PerplexityFrom, E> {
        match text {
            "model" => Ok(PerplexityFrom::Model),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<PerplexityFrom, A::Error> {
        let of = FieldOf::deserialize(de::value::MapAccessDeserializer::new(map))?;
        Ok(PerplexityFrom::Field(of.field))
    }
}

impl JsonSchema for PerplexityFrom {
    fn schema_name() -> Cow<'static, str> {
        "PerplexityFrom".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "const": "model" }, generator.subschema_for::<FieldOf>()] })
    }
}

/// Reads a whole number from `MIN` to `MAX`, both allowed, which must fit into `T`.
pub(super) fn within<'de, const MIN: i64, const MAX: i64, D, T>(
    deserializer: D,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64>,
{
    let number = deserializer.deserialize_i64(Within::<MIN, MAX>)?;
    T::try_from(number).map_err(|_| de::Error::custom("the limits exceed the type"))
}

struct Within<const MIN: i64, const MAX: i64>;

impl<const MIN: i64, const MAX: i64> Within<MIN, MAX> {
    fn check<E: de::Error>(self, number: i128) -> Result<i64, E> {
        match i64::try_from(number) {
            Ok(number) if (MIN..=MAX).contains(&number) => Ok(number),
            _ => Err(E::custom(format_args!("{number} is not {self}"))),
        }
    }
}

impl<const MIN: i64, const MAX: i64> fmt::Display for Within<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if MAX == i64::MAX {
            write!(f, "a whole number of at least {MIN}")
        } else {
            write!(f, "a whole number from {MIN} to {MAX}")
        }
    }
}

impl<const MIN: i64, const MAX: i64> de::Visitor<'_> for Within<MIN, MAX> {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<i64, E> {
        self.check(number.into())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<i64, E> {
        self.check(number.into())
    }
}

/// Reads a log's name: what Kafka allows, and a plain folder name at the same time.
pub(super) fn topic<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.len() > TOPIC_BYTES_MAX {
        return Err(de::Error::custom(format_args!(
            "a log's name has 1 to {TOPIC_BYTES_MAX} characters; this one has {}",
            name.len()
        )));
    }
    if name.starts_with('.') || !name.chars().all(allowed) {
        return Err(de::Error::custom(format_args!(
            "{name:?} is no name for a log: use letters, digits, '.', '_' and '-', \
             and do not begin with '.'"
        )));
    }
    Ok(name)
}

/// Reads the name of a device.
pub(super) fn device<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<kernels::DeviceChoice, D::Error> {
    let name = String::deserialize(deserializer)?;
    name.parse().map_err(de::Error::custom)
}

/// Writes the name of a device.
pub(super) fn device_name<S: Serializer>(
    device: &kernels::DeviceChoice,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(device)
}

/// Reads a path, which must not be empty.
pub(super) fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = String::deserialize(deserializer)?;
    if path.is_empty() {
        return Err(de::Error::custom("an empty text is no path"));
    }
    Ok(PathBuf::from(path))
}

/// Reads a path, or an empty text for none.
pub(super) fn path_or_none<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<PathBuf>, D::Error> {
    let path = String::deserialize(deserializer)?;
    Ok((!path.is_empty()).then(|| PathBuf::from(path)))
}

/// Writes a path, or an empty text for none.
pub(super) fn path_or_empty<S: Serializer>(
    path: &Option<PathBuf>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    path.clone().unwrap_or_default().serialize(serializer)
}

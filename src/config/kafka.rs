//! Properties handed to librdkafka as they are, with secrets that never show.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What stands in place of a secret wherever properties are shown.
pub(super) const REDACTED: &str = "<redacted>";

/// librdkafka's properties by name, such as `bootstrap.servers`.
///
/// `Debug` and `Serialize` show secrets as `<redacted>`; only [`KafkaProperties::get`] and
/// [`KafkaProperties::iter`] give them out.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct KafkaProperties(BTreeMap<String, Property>);

/// A property's text, and where it was read from if it does not stand in the configuration itself.
#[derive(Clone, PartialEq)]
struct Property {
    text: String,
    reference: Option<Reference>,
}

/// Where a secret is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Reference {
    /// In this file; a line end at its end does not count.
    File(PathBuf),
    /// In this environment variable.
    Env(String),
}

impl KafkaProperties {
    /// The property's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|property| property.text.as_str())
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, property)| (name.as_str(), property.text.as_str()))
    }

    /// Sets a property.
    pub fn set(&mut self, name: impl Into<String>, text: impl Into<String>) {
        self.0.insert(
            name.into(),
            Property {
                text: text.into(),
                reference: None,
            },
        );
    }

    /// Whether there are no properties.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Fills in the properties that are kept elsewhere; returns the names of those that `read`
    /// refuses, with its reason.
    pub(super) fn resolve(
        &mut self,
        read: impl Fn(&Reference) -> Result<String, String>,
    ) -> Vec<(String, String)> {
        let mut refused = Vec::new();
        for (name, property) in &mut self.0 {
            match property.reference.as_ref().map(&read) {
                Some(Ok(text)) => property.text = text,
                Some(Err(reason)) => refused.push((name.clone(), reason)),
                None => {}
            }
        }
        refused
    }
}

/// Whether a property's value must not be shown. By its name, since librdkafka has no list; a
/// harmless value that does not show is better than a secret that does.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [
        "password",
        "secret",
        "token",
        "key.pem",
        "oauthbearer.config",
        "credential",
    ]
    .iter()
    .any(|part| name.contains(part))
}

/// What may be shown of a property.
#[derive(Serialize)]
#[serde(untagged)]
enum Shown<'a> {
    Text(&'a str),
    Reference(&'a Reference),
}

impl KafkaProperties {
    fn shown(&self) -> impl Iterator<Item = (&str, Shown<'_>)> {
        self.0.iter().map(|(name, property)| {
            let shown = match &property.reference {
                Some(reference) => Shown::Reference(reference),
                None if is_secret(name) => Shown::Text(REDACTED),
                None => Shown::Text(&property.text),
            };
            (name.as_str(), shown)
        })
    }
}

impl fmt::Debug for KafkaProperties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (name, shown) in self.shown() {
            match shown {
                Shown::Text(text) => map.entry(&name, &text),
                Shown::Reference(reference) => map.entry(&name, reference),
            };
        }
        map.finish()
    }
}

impl Serialize for KafkaProperties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.shown())
    }
}

impl JsonSchema for KafkaProperties {
    fn schema_name() -> Cow<'static, str> {
        "KafkaProperties".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let reference = generator.subschema_for::<Reference>();
        json_schema!({
            "type": "object",
            "additionalProperties": {
                "anyOf": [{ "type": ["string", "integer", "boolean"] }, reference],
            },
        })
    }
}

impl<'de> Deserialize<'de> for Property {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PropertyVisitor)
    }
}

/// The messages never hold the value, for it may be a secret.
struct PropertyVisitor;

impl PropertyVisitor {
    fn text<E>(text: String) -> Result<Property, E> {
        Ok(Property {
            text,
            reference: None,
        })
    }
}

impl<'de> de::Visitor<'de> for PropertyVisitor {
    type Value = Property;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a string, a whole number, true or false, { file = \"path\" } or { env = \"NAME\" }",
        )
    }

    fn visit_bool<E>(self, value: bool) -> Result<Property, E> {
        Self::text(value.to_string())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Property, E> {
        Self::text(value.to_string())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Property, E> {
        Self::text(value.to_string())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Property, E> {
        Err(E::custom(
            "a number with decimals is no property; write it as a string",
        ))
    }

    fn visit_str<E>(self, value: &str) -> Result<Property, E> {
        Self::text(value.to_owned())
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Property, A::Error> {
        let reference = Reference::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Property {
            text: String::new(),
            reference: Some(reference),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_show_nowhere() {
        let mut kafka = KafkaProperties::default();
        for name in [
            "sasl.password",
            "ssl.key.password",
            "ssl.key.pem",
            "SASL.PASSWORD",
        ] {
            kafka.set(name, "hunter2");
        }
        kafka.set("sasl.oauthbearer.client.secret", "hunter2");
        kafka.set("sasl.oauthbearer.config", "hunter2");
        kafka.set("client.id", "riffle");
        let debug = format!("{kafka:?}");
        let json = serde_json::to_string(&kafka).unwrap();
        for shown in [debug, json] {
            assert!(!shown.contains("hunter2"), "{shown}");
            assert!(shown.contains("riffle"), "{shown}");
        }
        assert_eq!(kafka.get("sasl.password"), Some("hunter2"));
    }
}

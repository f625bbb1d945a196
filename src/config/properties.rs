//! librdkafka's properties: those it refuses, and the values that are kept elsewhere.

use std::ffi::OsString;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use super::KafkaProperties;
use super::checks::{Finding, finding};
use super::kafka::{Reference, is_secret};
use super::nearest::nearest;

/// Properties that people set; librdkafka gives no list of all.
const USUAL_PROPERTIES: [&str; 22] = [
    "acks",
    "bootstrap.servers",
    "broker.address.family",
    "client.id",
    "compression.type",
    "debug",
    "fetch.message.max.bytes",
    "group.id",
    "linger.ms",
    "message.max.bytes",
    "sasl.mechanisms",
    "sasl.oauthbearer.config",
    "sasl.password",
    "sasl.username",
    "security.protocol",
    "session.timeout.ms",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.key.password",
    "statistics.interval.ms",
    "transaction.timeout.ms",
];

/// librdkafka's reason when what a property is for was not built in; it does not hold the value.
const NOT_BUILT: &str = "not available at build time";

/// Every property that librdkafka does not take. Each is tried alone, to know which one it is.
pub(super) fn refused(kafka: &KafkaProperties) -> Vec<Finding> {
    kafka
        .iter()
        .filter_map(|(name, text)| property(name, text))
        .collect()
}

fn property(name: &str, text: &str) -> Option<Finding> {
    let error = ClientConfig::new()
        .set(name, text)
        .create_native_config()
        .err()?;
    let reason = match &error {
        KafkaError::ClientConfig(_, reason, ..) => reason.trim().to_owned(),
        other => other.to_string(),
    };
    let missing = reason.contains(NOT_BUILT);
    let shown = if is_secret(name) && !missing {
        "librdkafka does not take this value".to_owned()
    } else {
        reason
    };
    let help = if missing {
        "this riffle was built without TLS and SASL: build it with --features ssl".to_owned()
    } else {
        match nearest(name, USUAL_PROPERTIES) {
            Some(near) if near != name => format!("did you mean {near:?}?"),
            _ => "librdkafka's CONFIGURATION.md lists all properties and their values".to_owned(),
        }
    };
    Some(finding(
        &[&["kafka", name]],
        format!("kafka.{name}: {shown}"),
        help,
    ))
}

/// Fills in the properties that are kept in files and variables.
pub(super) fn resolve(kafka: &mut KafkaProperties, env: &[(OsString, OsString)]) -> Vec<Finding> {
    let variable = |wanted: &str| {
        let (_, value) = env.iter().find(|(name, _)| name == wanted)?;
        value.to_str().map(str::to_owned)
    };
    let read = |reference: &Reference| match reference {
        Reference::File(path) => std::fs::read_to_string(path)
            .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
            .map_err(|error| format!("the file {} cannot be read: {error}", path.display())),
        Reference::Env(name) => {
            variable(name).ok_or_else(|| format!("the variable {name} is not set to a text"))
        }
    };
    let unreadable = |name: String, reason: String| {
        finding(
            &[&["kafka", &name]],
            format!("kafka.{name}: {reason}"),
            "make it readable for this user, or refer to another file or variable",
        )
    };
    let failures = kafka.resolve(read);
    failures
        .into_iter()
        .map(|(name, reason)| unreadable(name, reason))
        .collect()
}

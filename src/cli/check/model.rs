//! The reference model: whether its files are there and look like what they should be.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::finding::{Finding, Status, bytes};
use crate::config::{PerplexityFrom, Score};

const WHAT: &str = "model";
/// What a GGUF file begins with; a little-endian version follows.
const GGUF_MAGIC: &[u8] = b"GGUF";
const FIX: &str = "set score.model to a GGUF file or a Hugging Face directory, or read perplexity \
                   from a field: score.perplexity.field = \"metadata.perplexity\"";

/// The format and size of the model that would be loaded. Its contents are not read.
pub(super) fn check(score: &Score) -> Finding {
    if let PerplexityFrom::Field(field) = &score.perplexity {
        return Finding::new(
            Status::Ok,
            WHAT,
            format!("none: perplexity comes from {field}"),
        );
    }
    let path = &score.model;
    let description = fs::metadata(path)
        .map_err(|error| error.to_string())
        .and_then(|metadata| {
            let read = if metadata.is_dir() {
                directory(path)
            } else {
                gguf(path)
            };
            read.unwrap_or_else(|error| Err(error.to_string()))
        });
    match description {
        Ok(found) => Finding::new(Status::Ok, WHAT, format!("{}: {found}", path.display())),
        Err(reason) => {
            Finding::new(Status::Fail, WHAT, format!("{}: {reason}", path.display())).fix(FIX)
        }
    }
}

fn gguf(path: &Path) -> io::Result<Result<String, String>> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut head = Vec::new();
    file.by_ref().take(8).read_to_end(&mut head)?;
    Ok(
        match head.strip_prefix(GGUF_MAGIC).map(<[u8; 4]>::try_from) {
            Some(Ok(version)) => Ok(format!(
                "GGUF version {}, {}",
                u32::from_le_bytes(version),
                bytes(size)
            )),
            Some(Err(_)) => Err(format!("the GGUF file ends after {size} bytes")),
            None => Err("the file is no GGUF file".to_owned()),
        },
    )
}

fn directory(path: &Path) -> io::Result<Result<String, String>> {
    let mut size = 0;
    let mut weights = 0;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "safetensors")
        {
            File::open(entry.path())?;
            size += fs::metadata(entry.path())?.len();
            weights += 1;
        }
    }
    let mut missing = Vec::new();
    for name in ["config.json", "tokenizer.json"] {
        match File::open(path.join(name)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(name),
            Err(error) => return Ok(Err(format!("{name}: {error}"))),
        }
    }
    if weights == 0 {
        missing.push("*.safetensors");
    }
    Ok(if missing.is_empty() {
        Ok(format!(
            "Hugging Face directory, {} of weights",
            bytes(size)
        ))
    } else {
        Err(format!("the directory has no {}", missing.join(", no ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &Path) -> (Status, String) {
        let finding = check(&Score {
            model: path.to_owned(),
            ..Score::default()
        });
        (finding.status, finding.found)
    }

    #[test]
    fn models_are_known_by_their_beginning_or_their_files() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("model.gguf");
        for (contents, status, part) in [
            (
                &b"GGUF\x03\0\0\0rest"[..],
                Status::Ok,
                "GGUF version 3, 12 B",
            ),
            (b"GGUF\x03", Status::Fail, "ends after 5 bytes"),
            (b"<html>", Status::Fail, "no GGUF file"),
            (b"", Status::Fail, "no GGUF file"),
        ] {
            fs::write(&file, contents).unwrap();
            let (was, text) = found(&file);
            assert!(was == status && text.contains(part), "{text}");
        }
        assert!(
            found(dir.path())
                .1
                .contains("no config.json, no tokenizer.json, no *.safetensors")
        );
        for name in ["config.json", "tokenizer.json", "model.safetensors"] {
            fs::write(dir.path().join(name), "{}").unwrap();
        }
        assert_eq!(found(dir.path()).0, Status::Ok);
        assert_eq!(found(&dir.path().join("missing")).0, Status::Fail);
    }
}

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

/// The format, size and shape of the model that would be loaded. Its weights are not read.
pub(super) fn check(score: &Score) -> (Finding, Option<kernels::Config>) {
    if let PerplexityFrom::Field(field) = &score.perplexity {
        let found = format!("none: perplexity comes from {field}");
        return (Finding::new(Status::Ok, WHAT, found), None);
    }
    let path = &score.model;
    let format = format(path).map_err(|reason| format!("{}: {reason}", path.display()));
    let described = format.and_then(|format| {
        let shape = kernels::describe(path).map_err(|error| error.to_string())?;
        Ok((format, shape))
    });
    match described {
        Ok((format, shape)) => {
            let found = format!("{}: {format}; {}", path.display(), sizes(&shape));
            (Finding::new(Status::Ok, WHAT, found), Some(shape))
        }
        Err(reason) => (Finding::new(Status::Fail, WHAT, reason).fix(FIX), None),
    }
}

fn sizes(shape: &kernels::Config) -> String {
    format!(
        "{}, {:.1} million parameters, {} layers, documents of up to {} tokens, vocabulary of {}",
        shape.name,
        shape.parameters() as f64 / 1e6,
        shape.layers,
        shape.context,
        shape.vocabulary
    )
}

/// The format and size, from the file's beginning or the directory's list.
fn format(path: &Path) -> Result<String, String> {
    let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
    let read = match metadata.is_dir() {
        true => directory(path),
        false => gguf(path),
    };
    read.unwrap_or_else(|error| Err(error.to_string()))
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
        let (finding, shape) = check(&Score {
            model: path.to_owned(),
            ..Score::default()
        });
        assert_eq!(finding.status == Status::Ok, shape.is_some());
        (finding.status, finding.found)
    }

    #[test]
    fn what_is_no_model_is_told_by_its_beginning_or_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("model.gguf");
        for (contents, part) in [
            (&b"GGUF\x03\0\0\0rest"[..], "damaged"),
            (b"GGUF\x03", "ends after 5 bytes"),
            (b"<html>", "no GGUF file"),
            (b"", "no GGUF file"),
        ] {
            fs::write(&file, contents).unwrap();
            let (was, text) = found(&file);
            assert!(was == Status::Fail && text.contains(part), "{text}");
        }
        assert!(
            found(dir.path())
                .1
                .contains("no config.json, no tokenizer.json, no *.safetensors")
        );
        for name in ["config.json", "tokenizer.json", "model.safetensors"] {
            fs::write(dir.path().join(name), "{}").unwrap();
        }
        assert_eq!(
            format(dir.path()),
            Ok("Hugging Face directory, 2 B of weights".into())
        );
        assert_eq!(
            found(dir.path()).0,
            Status::Fail,
            "config.json says nothing"
        );
        assert_eq!(found(&dir.path().join("missing")).0, Status::Fail);
    }

    #[test]
    fn a_shape_is_told_in_a_line() {
        let shape = kernels::Config {
            name: "SmolLM2".into(),
            layers: 30,
            width: 576,
            hidden: 1536,
            heads: 9,
            kv_heads: 3,
            head_width: 64,
            vocabulary: 49152,
            context: 8192,
            rope_base: 1e5,
            norm_epsilon: 1e-5,
            tied: true,
        };
        assert_eq!(
            sizes(&shape),
            "SmolLM2, 134.5 million parameters, 30 layers, documents of up to 8192 tokens, \
             vocabulary of 49152"
        );
    }
}

//! The file of centroids: JSON, a skill a line, so that a person can rename skills.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Centroids, EncoderIdentity, Skill};

/// The form of the file. A change of it takes the next number.
const VERSION: u32 = 1;
/// Largest file that is read: 10,000 skills of 4,096 channels have 500 MB.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Largest channel of a centroid, so that lengths are finite.
const CHANNEL_MAX: f32 = 1e9;

/// Why centroids cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CentroidsError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is too large.
    #[error("{path} has {bytes} bytes, more than the {FILE_BYTES_MAX} of a file of centroids")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The file is not what `riffle skills fit` writes.
    #[error("{path} is no file of centroids: {reason}; riffle skills fit makes one")]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// The centroids are of another encoder's embeddings.
    #[error(
        "{path} holds centroids of embeddings by {} ({} channels, {} weights), and these are by {} \
         ({} channels, {} weights); take that encoder, or fit the skills again with this one",
        .fitted.name, .fitted.dimensions, .fitted.parameters,
        .used.name, .used.dimensions, .used.parameters
    )]
    Encoder {
        /// The file.
        path: PathBuf,
        /// The encoder of the file.
        fitted: EncoderIdentity,
        /// The encoder in use.
        used: EncoderIdentity,
    },
}

#[derive(Deserialize)]
struct Fields {
    version: u32,
    encoder: EncoderIdentity,
    skills: Vec<Skill>,
}

impl Centroids {
    /// The centroids in the file at `path`.
    ///
    /// # Errors
    /// [`CentroidsError`]: the file cannot be read, is too large or has another form.
    pub fn open(path: &Path) -> Result<Self, CentroidsError> {
        let io = |source| CentroidsError::Io {
            path: path.into(),
            source,
        };
        let bytes = std::fs::metadata(path).map_err(io)?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(CentroidsError::TooLarge {
                path: path.into(),
                bytes,
            });
        }
        let form = |reason: String| CentroidsError::Form {
            path: path.into(),
            reason,
        };
        let text = std::fs::read(path).map_err(io)?;
        let fields: Fields = serde_json::from_slice(&text).map_err(|e| form(e.to_string()))?;
        check(&fields).map_err(form)?;
        Ok(Centroids::of_checked(fields.encoder, fields.skills))
    }

    /// The centroids in the file at `path`, which are for this encoder.
    ///
    /// # Errors
    /// As [`Centroids::open`], and [`CentroidsError::Encoder`] for another encoder's.
    pub fn open_for(path: &Path, encoder: &EncoderIdentity) -> Result<Self, CentroidsError> {
        let centroids = Centroids::open(path)?;
        if centroids.encoder() != encoder {
            return Err(CentroidsError::Encoder {
                path: path.into(),
                fitted: centroids.encoder().clone(),
                used: encoder.clone(),
            });
        }
        Ok(centroids)
    }

    /// Writes the file, in place of one that is there.
    ///
    /// # Errors
    /// [`CentroidsError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), CentroidsError> {
        let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
        let written = self.write_beside(path, folder.unwrap_or(Path::new(".")));
        written.map_err(|source| CentroidsError::Io {
            path: path.into(),
            source,
        })
    }

    /// Writes a file beside it first, so that whoever reads meanwhile sees the old or the new one.
    fn write_beside(&self, path: &Path, folder: &Path) -> io::Result<()> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let beside = folder.join(format!(".{}.part", name.to_string_lossy()));
        let mut file = std::fs::File::create(&beside)?;
        file.write_all(self.to_json().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    }

    fn to_json(&self) -> String {
        let skills: Vec<String> = self.skills().iter().map(json).collect();
        format!(
            "{{\n\"version\": {VERSION},\n\"encoder\": {},\n\"skills\": [\n{}\n]\n}}\n",
            json(self.encoder()),
            skills.join(",\n")
        )
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts and finite numbers become JSON")
}

fn check(fields: &Fields) -> Result<(), String> {
    let Fields {
        version,
        encoder,
        skills,
    } = fields;
    if *version != VERSION {
        return Err(format!(
            "it is of version {version}, and this program reads {VERSION}"
        ));
    }
    if !(1..=mixtures::SKILLS_MAX).contains(&skills.len()) {
        let (count, most) = (skills.len(), mixtures::SKILLS_MAX);
        return Err(format!("it has {count} skills; there are 1 to {most}"));
    }
    let mut names = HashSet::new();
    for (number, skill) in (1..).zip(skills) {
        let name = &skill.name;
        if !(1..=mixtures::NAME_BYTES_MAX).contains(&name.len()) {
            let most = mixtures::NAME_BYTES_MAX;
            return Err(format!(
                "the name of skill {number} has not 1 to {most} bytes"
            ));
        }
        if !names.insert(name) {
            return Err(format!(
                "skill {number} is called {name:?} like one before it"
            ));
        }
        let (found, expected) = (skill.centroid.len(), encoder.dimensions);
        if found != expected || found == 0 {
            return Err(format!(
                "{name:?} has {found} channels, the encoder {expected}"
            ));
        }
        let usable = |it: &f32| it.is_finite() && it.abs() <= CHANNEL_MAX;
        if let Some(value) = skill.centroid.iter().find(|it| !usable(it)) {
            return Err(format!(
                "{name:?} has a channel of {value}, above {CHANNEL_MAX}"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn centroids() -> Centroids {
        let encoder = EncoderIdentity {
            name: "tiny".into(),
            parameters: 7,
            dimensions: 3,
        };
        let skill = |name: &str, centroid: [f32; 3]| Skill {
            name: name.into(),
            documents: 2,
            nearest: vec!["a \"b\"".into()],
            centroid: centroid.into(),
        };
        let tiny = f32::from_bits(1);
        let skills = vec![
            skill("code", [0.1, -1.0 / 3.0, tiny]),
            skill("prose", [1e9, f32::EPSILON, -0.0]),
        ];
        Centroids::of_checked(encoder, skills)
    }

    fn reading(text: &str) -> Result<Centroids, CentroidsError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Centroids::open(file.path())
    }

    #[test]
    fn a_written_file_reads_back_to_the_same_bits_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("skills.json");
        std::fs::write(&path, "an older one").unwrap();
        centroids().write(&path).unwrap();
        let read = Centroids::open_for(&path, centroids().encoder()).unwrap();
        let bits = |centroids: &Centroids| -> Vec<u32> {
            let skills = centroids.skills().iter();
            skills
                .flat_map(|it| it.centroid.iter().map(|value| value.to_bits()))
                .collect()
        };
        assert_eq!(bits(&read), bits(&centroids()));
        assert_eq!(read.skills()[0].nearest, ["a \"b\""]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn centroids_of_another_encoder_are_refused_with_both_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("skills.json");
        centroids().write(&path).unwrap();
        let used = EncoderIdentity {
            name: "other".into(),
            dimensions: 4,
            ..centroids().encoder().clone()
        };
        let message = Centroids::open_for(&path, &used).unwrap_err().to_string();
        for part in [
            "by tiny (3 channels",
            "by other (4 channels",
            "fit the skills again",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn what_is_no_file_of_centroids_is_told_with_its_place() {
        let good = centroids().to_json();
        assert!(reading(&good).is_ok());
        for (from, to, expected) in [
            (
                "\"version\": 1",
                "\"version\": 2",
                "version 2, and this program reads 1",
            ),
            ("prose", "code", "skill 2 is called \"code\""),
            ("prose", "", "the name of skill 2"),
            ("0.1,", "", "\"code\" has 2 channels, the encoder 3"),
            ("0.1,", "1e999,", "out of range"),
            ("0.1,", "-2e9,", "a channel of -2000000000"),
            ("\"version\"", "\"form\"", "missing field `version`"),
        ] {
            let message = reading(&good.replace(from, to)).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
            assert!(
                message.ends_with("riffle skills fit makes one"),
                "{message}"
            );
        }
        let none = r#"{"version": 1, "encoder": {"name": "", "parameters": 1, "dimensions": 1},
                       "skills": []}"#;
        assert!(
            reading(none)
                .unwrap_err()
                .to_string()
                .contains("it has 0 skills")
        );
        let missing = Centroids::open(Path::new("/missing/skills.json")).unwrap_err();
        assert!(missing.to_string().starts_with("/missing/skills.json: "));
    }
}

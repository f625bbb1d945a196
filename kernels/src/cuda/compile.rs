//! Machine code of the kernels for one architecture, compiled once and then kept on disk.
//!
//! An entry of the cache is named by a hash of everything that it depends on, so it never goes
//! stale and nothing has to be invalidated; it begins with a hash of its own contents, so a damaged
//! one is seen and compiled again. A cache that cannot be read or written costs time, and nothing
//! else.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::{CudaError, Version};
use super::nvrtc::{Nvrtc, Output, Text};
use super::ptxas::{self, Resources};

/// Bytes of a hash.
const HASH: usize = blake3::OUT_LEN;
/// Changes when the layout of entries does.
const FORMAT: &[u8] = b"riffle kernels 1";

/// An architecture that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Architecture {
    /// The device's compute capability.
    capability: Version,
}

impl Architecture {
    /// That of devices of this compute capability.
    pub(crate) fn of(capability: Version) -> Self {
        Architecture { capability }
    }

    /// Whether the kernels for Hopper's own instructions run there.
    pub(crate) fn is_hopper(self) -> bool {
        let Version { major, minor } = self.capability;
        (major, minor) == (9, 0)
    }

    /// Its name to the compiler, such as `sm_80`.
    pub(crate) fn name(self) -> String {
        let Version { major, minor } = self.capability;
        let own = if self.is_hopper() { "a" } else { "" };
        format!("sm_{major}{minor}{own}")
    }
}

/// A compiled source file.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    /// The source file's name.
    pub(crate) file: &'static str,
    /// The machine code, for the driver to load.
    pub(crate) cubin: Vec<u8>,
    /// What each kernel in it takes of a multiprocessor.
    pub(crate) resources: Vec<Resources>,
    /// Whether it was found on disk.
    pub(crate) cached: bool,
    /// How long it took, to compile or to read.
    pub(crate) took: Duration,
}

/// Compiles for one architecture.
pub(crate) struct Compiler<'a> {
    nvrtc: &'a Nvrtc,
    headers: &'a [Text],
    architecture: String,
    cache: Option<PathBuf>,
}

impl<'a> Compiler<'a> {
    /// Compiles sources that include these headers, with a cache in this directory if there is one.
    pub(crate) fn new(
        nvrtc: &'a Nvrtc,
        headers: &'a [Text],
        architecture: Architecture,
        cache: Option<PathBuf>,
    ) -> Self {
        Compiler {
            nvrtc,
            headers,
            architecture: architecture.name(),
            cache,
        }
    }

    /// All of the sources, compiled side by side.
    ///
    /// # Errors
    /// [`CudaError::Compile`] of the first that does not compile.
    pub(crate) fn compile_all(&self, sources: &[Text]) -> Result<Vec<Compiled>, CudaError> {
        std::thread::scope(|scope| {
            let threads: Vec<_> = sources
                .iter()
                .map(|source| scope.spawn(|| self.compile(*source)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("the compiler does not panic"))
                .collect()
        })
    }

    /// A source, from the cache or compiled and then kept there.
    fn compile(&self, source: Text) -> Result<Compiled, CudaError> {
        let started = Instant::now();
        let architecture = format!("--gpu-architecture={}", self.architecture);
        let options = ["--std=c++17", "--ptxas-options=-v", &architecture];
        let entry = self.cache.as_ref().map(|cache| {
            let key = self.key(source, &options).to_hex();
            let stem = source.name.trim_end_matches(".cu");
            cache.join(format!("{stem}-{}-{}", self.architecture, &key[..32]))
        });
        let kept = entry.as_deref().and_then(read_entry);
        let cached = kept.is_some();
        let output = match kept {
            Some(output) => output,
            None => self.nvrtc.compile(source, self.headers, &options)?,
        };
        if let (false, Some(entry)) = (cached, &entry) {
            // Without a cache the next start compiles again, which is slow and not wrong.
            let _ = write_entry(entry, &output);
        }
        Ok(Compiled {
            file: source.name,
            resources: ptxas::resources(&output.log),
            cubin: output.cubin,
            cached,
            took: started.elapsed(),
        })
    }

    /// A hash of all that the machine code depends on.
    fn key(&self, source: Text, options: &[&str]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        part(FORMAT);
        part(self.nvrtc.version().to_string().as_bytes());
        options.iter().for_each(|option| part(option.as_bytes()));
        for text in self.headers.iter().chain([&source]) {
            part(text.name.as_bytes());
            part(text.text.as_bytes());
        }
        hasher.finalize()
    }
}

/// Where machine code is kept: `riffle` in the user's cache directory, if there is such.
pub(crate) fn cache_directory() -> Option<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(base.join("riffle"))
}

/// An entry that is there and whole: the hash of the rest, the log's length, the log, the cubin.
fn read_entry(path: &Path) -> Option<Output> {
    let bytes = fs::read(path).ok()?;
    let (hash, rest) = bytes.split_first_chunk::<HASH>()?;
    if blake3::hash(rest) != *hash {
        return None;
    }
    let (log_bytes, rest) = rest.split_first_chunk::<8>()?;
    let (log, cubin) = rest.split_at_checked(u64::from_le_bytes(*log_bytes) as usize)?;
    Some(Output {
        log: String::from_utf8(log.to_vec()).ok()?,
        cubin: cubin.to_vec(),
    })
}

/// Writes an entry beside its place and renames it, so that no reader sees half of one.
fn write_entry(path: &Path, output: &Output) -> io::Result<()> {
    let mut rest = (output.log.len() as u64).to_le_bytes().to_vec();
    rest.extend_from_slice(output.log.as_bytes());
    rest.extend_from_slice(&output.cubin);
    let directory = path.parent().expect("an entry is in the cache directory");
    fs::create_dir_all(directory)?;
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = fs::File::create(&temporary).and_then(|mut file| {
        file.write_all(blake3::hash(&rest).as_bytes())?;
        file.write_all(&rest)
    });
    written
        .and_then(|()| fs::rename(&temporary, path))
        .inspect_err(|_| {
            let _ = fs::remove_file(&temporary);
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output() -> Output {
        Output {
            cubin: vec![0x7f, b'E', b'L', b'F', 0],
            log: "ptxas info".into(),
        }
    }

    #[test]
    fn an_entry_comes_back_as_written_and_leaves_no_other_file() {
        let cache = tempfile::tempdir().unwrap();
        let entry = cache.path().join("riffle/qkv-sm_80-0123");
        write_entry(&entry, &output()).unwrap();
        assert_eq!(read_entry(&entry), Some(output()));
        assert_eq!(fs::read_dir(entry.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_entry_is_none_at_every_byte_and_every_length() {
        let cache = tempfile::tempdir().unwrap();
        let entry = cache.path().join("entry");
        assert_eq!(read_entry(&entry), None);
        write_entry(&entry, &output()).unwrap();
        let whole = fs::read(&entry).unwrap();
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 1;
            fs::write(&entry, &damaged).unwrap();
            assert_eq!(read_entry(&entry), None, "byte {place}");
            fs::write(&entry, &whole[..place]).unwrap();
            assert_eq!(read_entry(&entry), None, "length {place}");
        }
    }

    #[test]
    fn hopper_alone_has_instructions_of_its_own() {
        let name = |major, minor| Architecture::of(Version { major, minor }).name();
        assert_eq!(
            [name(8, 0), name(8, 9), name(9, 0), name(12, 0)],
            ["sm_80", "sm_89", "sm_90a", "sm_120"]
        );
    }
}

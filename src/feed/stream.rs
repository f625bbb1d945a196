//! The bytes of an input, decompressed: what compresses it shows in its first bytes, not its name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// A skippable frame of zstd, with which parallel compressors begin; the first byte is 0x50–0x5f.
const ZSTD_SKIPPABLE: &[u8] = &[0x2a, 0x4d, 0x18];

/// The bytes of the file, or of standard input for `-`, decompressed.
///
/// `read` counts the bytes read from the file as it is. A zstd frame with a window of more than
/// `2^window_log_max` bytes is refused when it is met.
///
/// # Errors
/// When the file cannot be opened or its first bytes cannot be read, or when it ends within them.
pub(crate) fn open(
    path: &Path,
    window_log_max: u32,
    read: Arc<AtomicU64>,
) -> io::Result<Box<dyn Read>> {
    let file: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path)?)
    };
    let mut file = BufReader::with_capacity(128 << 10, Counted { file, read });
    let (compression, prefix) = detect(&mut file, path)?;
    // The bytes that the detection took come first again.
    let file = io::Cursor::new(prefix).chain(file);
    Ok(match compression {
        Compression::None => Box::new(file),
        Compression::Gzip => Box::new(MultiGzDecoder::new(file)),
        Compression::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(file)?;
            decoder.window_log_max(window_log_max)?;
            Box::new(Zstd {
                decoder,
                window_log_max,
            })
        }
    })
}

enum Compression {
    None,
    Gzip,
    Zstd,
}

/// The compression, and the bytes that were taken to find it.
fn detect(file: &mut impl BufRead, path: &Path) -> io::Result<(Compression, Vec<u8>)> {
    let mut prefix = Vec::with_capacity(ZSTD.len());
    file.take(ZSTD.len() as u64).read_to_end(&mut prefix)?;
    let skippable = prefix.len() == 4 && prefix[0] >> 4 == 5 && prefix[1..] == *ZSTD_SKIPPABLE;
    let compression = if prefix.starts_with(GZIP) {
        Compression::Gzip
    } else if prefix == ZSTD || skippable {
        Compression::Zstd
    } else {
        let cut = |magic: &[u8]| prefix.len() < magic.len() && magic.starts_with(&prefix);
        let named = |extension: &str| path.extension().is_some_and(|e| e == extension);
        if !prefix.is_empty() && (named("gz") && cut(GZIP) || named("zst") && cut(ZSTD)) {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file ends within its first bytes",
            ));
        }
        Compression::None
    };
    Ok((compression, prefix))
}

/// Counts what is read.
struct Counted {
    file: Box<dyn Read>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file.read(buffer)?;
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(bytes)
    }
}

/// Says what to do about a window over the limit; zstd's own words do not.
struct Zstd<R: BufRead> {
    decoder: zstd::Decoder<'static, R>,
    window_log_max: u32,
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.decoder.read(buffer).map_err(|error| {
            if !error.to_string().contains("too much memory") {
                return error;
            }
            let limit_mib = (1u64 << self.window_log_max) >> 20;
            io::Error::other(format!(
                "compressed with a window of more than {limit_mib} MiB; decompress it first, for \
                 instance zstd -dc --long=31 FILE | riffle feed -"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(name: &str, bytes: &[u8], window_log_max: u32) -> io::Result<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let count = Arc::new(AtomicU64::new(0));
        let mut all = Vec::new();
        open(&path, window_log_max, count.clone())?.read_to_end(&mut all)?;
        assert_eq!(count.load(Ordering::Relaxed), bytes.len() as u64);
        Ok(all)
    }

    #[test]
    fn compression_shows_in_the_bytes_whatever_the_name() {
        let zstd = zstd::encode_all(&b"one"[..], 3).unwrap();
        let skippable = [&[0x51, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9][..], &zstd].concat();
        for bytes in [b"one".to_vec(), gzip(b"one"), zstd, skippable] {
            for name in ["a", "a.gz", "a.zst"] {
                assert_eq!(read(name, &bytes, 27).unwrap(), b"one", "{name}");
            }
        }
        assert_eq!(read("a.gz", b"", 27).unwrap(), b"");
    }

    #[test]
    fn members_and_frames_follow_each_other() {
        let two = [gzip(b"one"), gzip(b""), gzip(b"two")].concat();
        assert_eq!(read("a.gz", &two, 27).unwrap(), b"onetwo");
        let frame = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
        let two = [frame(b"one"), frame(b""), frame(b"two")].concat();
        assert_eq!(read("a.zst", &two, 27).unwrap(), b"onetwo");
    }

    #[test]
    fn a_file_cut_anywhere_is_an_error() {
        let text = b"some text to compress, some more text to compress".as_slice();
        for (name, whole) in [
            ("a.gz", gzip(text)),
            ("a.zst", zstd::encode_all(text, 3).unwrap()),
        ] {
            for end in 1..whole.len() {
                let error = read(name, &whole[..end], 27).unwrap_err();
                assert_eq!(
                    error.kind(),
                    io::ErrorKind::UnexpectedEof,
                    "{name} at {end}"
                );
            }
        }
    }

    #[test]
    fn a_window_over_the_limit_is_refused_with_a_way_out() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(20).unwrap();
        encoder.include_contentsize(false).unwrap();
        encoder.write_all(b"text").unwrap();
        let bytes = encoder.finish().unwrap();
        assert_eq!(read("a.zst", &bytes, 20).unwrap(), b"text");
        let error = read("a.zst", &bytes, 19).unwrap_err().to_string();
        assert!(error.contains("riffle feed -"), "{error}");
    }
}

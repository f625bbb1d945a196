//! An invented corpus: the same bytes every time.

use std::f64::consts::TAU;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Bytes of a document's text; its JSON is about 1.5 KB.
const TEXT_BYTES: usize = 1370;
/// One document in so many is a new version of an earlier one.
const UPDATE_EVERY: usize = 20;
/// Logarithms of the perplexity: the mean at the start, how far it drifts, and the deviation.
const MEAN: f64 = 3.2;
const DRIFT: f64 = 0.5;
const DEVIATION: f64 = 0.6;

/// A document of the corpus.
pub struct Document {
    pub id: String,
    pub perplexity: f64,
    pub json: Vec<u8>,
}

/// A generator without a library: xorshift.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Uniform in (0, 1).
    fn uniform(&mut self) -> f64 {
        ((self.next() >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }

    /// Standard normal, by Box and Muller.
    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (TAU * self.uniform()).cos()
    }
}

/// Writes a corpus of so many lines of JSON.
pub fn write(path: &Path, documents: usize) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    for document in self::documents(documents) {
        file.write_all(&document.json).unwrap();
        file.write_all(b"\n").unwrap();
    }
    file.flush().unwrap();
}

/// A corpus of so many documents, in order.
pub fn documents(documents: usize) -> impl Iterator<Item = Document> {
    let mut noise = Noise(1);
    let words = vocabulary();
    (0..documents).map(move |number| {
        let id = match number % UPDATE_EVERY {
            0 if number > 0 => noise.below(number),
            _ => number,
        };
        let mean = MEAN + DRIFT * number as f64 / documents as f64;
        let perplexity = (mean + DEVIATION * noise.normal()).exp();
        let id = format!("corpus/{id:09}");
        let mut json = format!(r#"{{"id":"{id}","text":""#).into_bytes();
        write_text(&mut json, &mut noise, &words);
        let metadata = format!(r#"{{"lang":"en","perplexity":{perplexity:.4}}}"#);
        write!(json, r#"","source":"invented","metadata":{metadata}}}"#).unwrap();
        Document {
            id,
            perplexity,
            json,
        }
    })
}

/// Words with a skewed distribution compress by about half, as prose does; a line break has to be
/// escaped in JSON, so a parser cannot hand out the text where it stands.
fn write_text(text: &mut impl Write, noise: &mut Noise, words: &[String]) {
    let mut bytes = 0;
    while bytes < TEXT_BYTES {
        let word = &words[noise.below(words.len()).min(noise.below(words.len()))];
        let end = if noise.below(12) == 0 { ".\\n" } else { " " };
        write!(text, "{word}{end}").unwrap();
        bytes += word.len() + end.len();
    }
}

fn vocabulary() -> Vec<String> {
    let mut noise = Noise(2);
    let mut word = || {
        let letters = 3 + noise.below(7);
        (0..letters)
            .map(|_| char::from(b'a' + noise.below(26) as u8))
            .collect()
    };
    (0..4096).map(|_| word()).collect()
}

//! The points: documents, their halves, and their paragraphs.

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::Deserialize;

/// A shorter paragraph is a heading or a button.
const PARAGRAPH_BYTES_MIN: usize = 80;

/// A line of the file, as far as it matters.
#[derive(Deserialize)]
struct Document {
    text: String,
}

/// At most `max` texts, and of how many documents they are parts.
///
/// First come the documents and their halves, as far as there is room, then paragraphs, taken
/// evenly from all of them.
pub fn read(path: &Path, max: usize) -> Result<(Vec<String>, usize), Box<dyn Error>> {
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let reader: Box<dyn Read> = match path.extension().is_some_and(|it| it == "zst") {
        true => Box::new(zstd::Decoder::new(file)?),
        false => Box::new(file),
    };
    let (mut points, mut paragraphs, mut documents) = (Vec::new(), Vec::new(), 0);
    for line in BufReader::new(reader).lines() {
        let Document { text } = serde_json::from_str(&line?)?;
        let (first, second) = text.split_at(middle(&text));
        if points.len() + 3 > max {
            break;
        }
        points.extend([first, second, &text].map(str::to_owned));
        let long = |paragraph: &&str| paragraph.len() >= PARAGRAPH_BYTES_MIN;
        paragraphs.extend(text.lines().filter(long).map(str::to_owned));
        documents += 1;
    }
    let room = (max - points.len()).min(paragraphs.len());
    let evenly = |n: usize| n * room / paragraphs.len() != (n + 1) * room / paragraphs.len();
    let taken = paragraphs.iter().enumerate().filter(|(n, _)| evenly(*n));
    points.extend(taken.map(|(_, paragraph)| paragraph.clone()));
    Ok((points, documents))
}

/// Where a text's second half begins.
fn middle(text: &str) -> usize {
    let mut place = text.len() / 2;
    while !text.is_char_boundary(place) {
        place += 1;
    }
    place
}

//! The second input of the demo: takedowns of kept documents, and documents that shift the cuts,
//! most of them noise that the model finds very surprising.

use serde_json::json;

use crate::state::State;

const TAKEDOWNS: usize = 6;
const NOISE: u64 = 20;
const NOISE_LETTERS: usize = 160;

const PROSE: [(&str, &str); 4] = [
    (
        "ferry",
        "The ferry leaves twice a day, once before the market opens and once after it has closed. \
         People who live on the island know the captain by name and bring him bread. On stormy \
         days he waits until the last of them has come down the hill, and only then casts off.",
    ),
    (
        "kettle",
        "To take the lime out of a kettle, fill it halfway with water, add two spoons of vinegar, \
         and let it boil. Leave it for an hour, pour it away, and boil clear water once more. If \
         white flakes are still there, do it again with a little more vinegar.",
    ),
    (
        "lighthouse",
        "From the lighthouse one sees both bays, and between them the narrow road on which the \
         school bus comes every morning at seven. The keeper's daughter counted the cars for a \
         whole summer and wrote the numbers on the wall, in pencil, beside the window.",
    ),
    (
        "sieve",
        "A sieve keeps what is too large and lets the rest fall. Two sieves, one above the other, \
         keep the middle. If what is poured in changes from day to day, the holes have to change \
         with it, or the middle is soon no longer the middle.",
    ),
];

/// Takedowns and new documents as JSON lines.
pub fn arrivals(state: &State) -> String {
    let every = (state.kept.len() / TAKEDOWNS).max(1);
    let takedowns = state.kept.iter().step_by(every).take(TAKEDOWNS);
    let takedowns = takedowns.map(|id| json!({"id": id, "deleted": true}));
    let prose = PROSE
        .iter()
        .map(|(id, text)| json!({"id": format!("arrival/{id}"), "source": "prose", "text": text}));
    let noises = (1..=NOISE)
        .map(|n| json!({"id": format!("arrival/noise-{n}"), "source": "noise", "text": noise(n)}));
    let lines = takedowns.chain(prose).chain(noises);
    lines.map(|line| line.to_string() + "\n").collect()
}

/// Letters and blanks drawn by chance from a seed, the same on every machine.
fn noise(seed: u64) -> String {
    let mut letters = vec![0; NOISE_LETTERS];
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut letters);
    let letter =
        |byte: &u8| char::from(b"abcdefghijklmnopqrstuvwxyz      "[usize::from(byte % 32)]);
    letters.iter().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_the_same_each_time_and_differs_by_seed() {
        assert_eq!(noise(1), noise(1));
        assert_ne!(noise(1), noise(2));
        assert_eq!(noise(1).len(), NOISE_LETTERS);
    }
}

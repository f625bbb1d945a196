//! Where timely's messages begin and end on a connection, and which is the last.
//!
//! A message is a header of six numbers, of which the fifth is how many bytes follow; a header behind
//! which none follow says that there are no more messages. The version of timely is pinned, and a
//! test has it write a header.

const HEADER_BYTES: usize = 48;
const LENGTH_AT: usize = 32;

/// How far a connection has been read.
#[derive(Clone)]
pub(super) struct Frames {
    /// The beginning of the next header.
    header: [u8; HEADER_BYTES],
    known: usize,
    /// Bytes that are left of the message.
    left: u64,
    is_last: bool,
}

impl Default for Frames {
    fn default() -> Self {
        Frames {
            header: [0; HEADER_BYTES],
            known: 0,
            left: 0,
            is_last: false,
        }
    }
}

impl Frames {
    /// Takes note of what has been read.
    pub fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let skipped = bytes
                    .len()
                    .min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= skipped as u64;
                bytes = &bytes[skipped..];
                continue;
            }
            let taken = bytes.len().min(HEADER_BYTES - self.known);
            self.header[self.known..self.known + taken].copy_from_slice(&bytes[..taken]);
            self.known += taken;
            bytes = &bytes[taken..];
            if self.known == HEADER_BYTES {
                let length = self.header[LENGTH_AT..].first_chunk();
                self.left = u64::from_be_bytes(*length.expect("a header has 48 bytes"));
                self.is_last = self.left == 0;
                self.known = 0;
            }
        }
    }

    /// Whether the last message has been read, and all of it.
    pub fn are_over(&self) -> bool {
        self.is_last && self.known == 0
    }
}

#[cfg(test)]
mod tests {
    use timely::communication::networking::MessageHeader;

    use super::*;

    fn message(length: usize) -> Vec<u8> {
        let header = MessageHeader {
            channel: 1,
            source: 2,
            target_lower: 3,
            target_upper: 4,
            length,
            seqno: 5,
        };
        let mut bytes = Vec::new();
        header.write_to(&mut bytes).unwrap();
        assert_eq!(bytes.len(), HEADER_BYTES);
        // Zeros, which look like a last header.
        bytes.resize(HEADER_BYTES + length, 0);
        bytes
    }

    #[test]
    fn only_a_header_of_an_empty_message_is_the_end_however_the_bytes_come() {
        let bytes = [message(100), message(48), message(1), message(0)].concat();
        for piece in [1, 7, 48, 49, 1000] {
            let mut frames = Frames::default();
            let mut read = 0;
            for piece in bytes.chunks(piece) {
                assert!(!frames.are_over(), "{read}");
                frames.follow(piece);
                read += piece.len();
            }
            assert!(frames.are_over());
        }
    }
}

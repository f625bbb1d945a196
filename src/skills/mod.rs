//! Skills of documents: learnt from a sample as centroids of embeddings, and found again as the
//! nearest of them.

mod centroids;
mod documents;
mod file;
mod fit;
mod sample;
mod scored;

pub use centroids::{Centroids, EncoderIdentity, Skill};
pub use documents::{Found, draw};
pub use file::CentroidsError;
pub use fit::{SKILLS_MAX, fit};
pub use sample::{Drawn, Sample};
pub use scored::{FoundScored, draw_scored};

//! The rules of a run, as progress records keep them.

use super::groups::Groups;
use super::stages::groups_of;
use crate::config::Stage;

/// The stages as text that reads back as the same stages: what a later start compares with.
pub fn to_text(stages: &[Stage]) -> String {
    serde_json::to_string(stages).expect("stages can be written as JSON")
}

/// The stages and their groups from such a text.
pub fn from_text(text: &str) -> Result<(Vec<Stage>, Groups), serde_json::Error> {
    let stages: Vec<Stage> = serde_json::from_str(text)?;
    let groups = groups_of(&stages);
    Ok((stages, groups))
}

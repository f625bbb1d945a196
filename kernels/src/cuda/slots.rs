//! Groups of documents through a device's slots: the next group is prepared and sent while the
//! present one is computed.

use std::collections::VecDeque;

use super::device::SLOTS;
use super::error::CudaError;
use super::group::Group;

/// A model on a device, as its groups see it.
pub(crate) trait Forward {
    /// What a group gives.
    type Output;

    /// Sends a group to the device and begins to compute it; [`Forward::finish`] ends it.
    ///
    /// The group has no empty document, and at most as many rows as were planned.
    ///
    /// # Errors
    /// [`CudaError::Driver`] when the device fails.
    fn begin(&mut self, slot: usize, group: &Group) -> Result<(), CudaError>;

    /// What the slot's last group gave; waits for it.
    ///
    /// # Errors
    /// [`CudaError::Driver`] when a kernel failed.
    fn finish(&mut self, slot: usize) -> Result<Self::Output, CudaError>;
}

/// What each group gives, in order.
///
/// # Errors
/// [`CudaError::Driver`] when the device fails.
pub(crate) fn in_turn<F: Forward>(
    model: &mut F,
    groups: impl Iterator<Item = Group>,
) -> Result<Vec<F::Output>, CudaError> {
    let mut outputs = Vec::new();
    let mut in_flight = VecDeque::with_capacity(SLOTS);
    for (number, group) in groups.enumerate() {
        if in_flight.len() == SLOTS {
            let slot = in_flight.pop_front().expect("it is full");
            outputs.push(model.finish(slot)?);
        }
        let slot = number % SLOTS;
        model.begin(slot, &group)?;
        in_flight.push_back(slot);
    }
    for slot in in_flight {
        outputs.push(model.finish(slot)?);
    }
    Ok(outputs)
}

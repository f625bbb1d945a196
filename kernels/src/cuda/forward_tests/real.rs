//! Real weights in the emulator, against the float64 reference.

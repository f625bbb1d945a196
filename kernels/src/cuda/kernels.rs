//! Launch facts of every kernel; the `.cu` files hold the same numbers, and a test compares them.

/// A kernel as it is launched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// Its name in the module.
    pub(crate) name: &'static str,
    /// The source file that it is compiled from.
    pub(crate) file: &'static str,
    /// Threads of a block.
    pub(crate) threads: u32,
    /// Dynamic shared memory of a block, in bytes.
    pub(crate) shared_bytes: u32,
    /// Rows of a block's tile.
    pub(crate) tile_rows: u32,
    /// Columns of a block's tile; 0 where there are none.
    pub(crate) tile_columns: u32,
}

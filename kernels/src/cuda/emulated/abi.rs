//! The emulator's C interface, and which kernels it has loaded.
//!
//! The emulator is one shared library and each `.cu` file another: two files may hold functions of
//! one name, and a changed file is compiled alone. Nothing is ever unloaded, because the emulator's
//! fault handler stays installed.

use std::collections::HashMap;
use std::ffi::{c_char, c_void};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use libloading::os::unix::{Library as Shared, RTLD_GLOBAL, RTLD_LOCAL, RTLD_NOW};

use super::build;

/// What a kernel states of its launch.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Threads of a block.
    pub(crate) threads: u32,
    /// Dynamic shared memory of a block, in bytes.
    pub(crate) shared_bytes: u32,
    /// Rows of a block's tile.
    pub(crate) tile_rows: u32,
    /// Columns of a block's tile.
    pub(crate) tile_columns: u32,
    /// How many parameters it takes: the struct, and for sm_90a two tensor maps.
    pub(crate) parameters: u32,
    /// Size of the struct, in bytes.
    pub(crate) parameter_bytes: u32,
}

type Launch = unsafe extern "C" fn(
    *const c_char,
    *const u32,
    u32,
    u32,
    *mut *mut c_void,
    *mut c_char,
    usize,
) -> i32;
type MakeTensorMap = unsafe extern "C" fn(
    *mut c_void,
    *const c_void,
    u64,
    u64,
    u64,
    u32,
    u32,
    *mut c_char,
    usize,
) -> i32;

/// The calls of the emulator, as `kernels/emulator/abi.cpp` documents them.
pub(super) struct Library {
    pub(super) launch: Launch,
    pub(super) alloc: unsafe extern "C" fn(usize) -> *mut c_void,
    pub(super) free: unsafe extern "C" fn(*mut c_void),
    pub(super) policy: unsafe extern "C" fn(i32, u32, u32),
    pub(super) tensor_map: MakeTensorMap,
    pub(super) facts: unsafe extern "C" fn(*const c_char, *mut Facts) -> i32,
}

/// The emulator, compiled and loaded once.
///
/// # Panics
/// When it cannot be; the message says what is missing.
pub(super) fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let path = build::emulator().unwrap_or_else(|error| panic!("{error}"));
        let shared = open(&path, RTLD_NOW | RTLD_GLOBAL);
        // SAFETY: the names and types are those of abi.cpp, and the library is never unloaded.
        unsafe {
            Library {
                launch: symbol(shared, "emulator_launch"),
                alloc: symbol(shared, "emulator_alloc"),
                free: symbol(shared, "emulator_free"),
                policy: symbol(shared, "emulator_policy"),
                tensor_map: symbol(shared, "emulator_tensor_map"),
                facts: symbol(shared, "emulator_facts"),
            }
        }
    })
}

/// Enters the kernels of a source file into the emulator's table, the first time it is named.
///
/// # Panics
/// When the file does not compile; the message holds the compiler's.
pub(super) fn kernels_of(file: &str) {
    static FILES: Mutex<Option<HashMap<String, Arc<OnceLock<()>>>>> = Mutex::new(None);
    library();
    let entry = {
        let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
        let files = files.get_or_insert_default();
        Arc::clone(files.entry(file.to_owned()).or_default())
    };
    entry.get_or_init(|| {
        let path = build::kernels(file).unwrap_or_else(|error| panic!("{error}"));
        open(&path, RTLD_NOW | RTLD_LOCAL);
    });
}

fn open(path: &Path, flags: i32) -> &'static Shared {
    // SAFETY: a library that was compiled here from the project's own sources.
    let shared = unsafe { Shared::open(Some(path), flags) };
    Box::leak(Box::new(shared.unwrap_or_else(|error| {
        panic!("{} does not load: {error:?}", path.display())
    })))
}

/// # Safety
/// The symbol is of type `T`.
unsafe fn symbol<T: Copy>(shared: &'static Shared, name: &str) -> T {
    // SAFETY: passed on to the caller.
    let found = unsafe { shared.get::<T>(name.as_bytes()) };
    *found.unwrap_or_else(|error| panic!("the emulator lacks {name}: {error}"))
}

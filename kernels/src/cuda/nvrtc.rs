//! NVRTC, NVIDIA's compiler as a library, found at run time.
//!
//! Opened here rather than through cudarc's bindings: those take the first `libnvrtc.so` of the
//! loader's path whatever its version, cannot be pointed at a directory, and panic when a function
//! is missing.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr;

use libloading::Library;

use super::error::{CudaError, Version};

/// Names the directory of `libnvrtc.so.13` or `.12`, or the library itself.
pub(crate) const VARIABLE: &str = "RIFFLE_NVRTC";

/// What NVIDIA's packages call the library, the first wins.
const NAMES: [&str; 3] = ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"];

/// The oldest version that is used: the first that knows sm_90a.
const OLDEST: Version = Version {
    major: 12,
    minor: 0,
};

type Program = *mut c_void;
type Status = c_int;
type GetSize = unsafe extern "C" fn(Program, *mut usize) -> Status;
type GetBytes = unsafe extern "C" fn(Program, *mut c_char) -> Status;

/// The functions used, by their types in `nvrtc.h`.
struct Functions {
    version: unsafe extern "C" fn(*mut c_int, *mut c_int) -> Status,
    error_string: unsafe extern "C" fn(Status) -> *const c_char,
    create: unsafe extern "C" fn(
        *mut Program,
        *const c_char,
        *const c_char,
        c_int,
        *const *const c_char,
        *const *const c_char,
    ) -> Status,
    compile: unsafe extern "C" fn(Program, c_int, *const *const c_char) -> Status,
    destroy: unsafe extern "C" fn(*mut Program) -> Status,
    log_size: GetSize,
    log: GetBytes,
    cubin_size: GetSize,
    cubin: GetBytes,
}

/// An opened NVRTC; several threads may compile with it at once.
pub(crate) struct Nvrtc {
    functions: Functions,
    version: Version,
    /// Kept open as long as its functions are called.
    _library: Library,
    /// Its second library, which it opens by name when it first compiles.
    _builtins: Option<Library>,
}

/// A source file or header: what `#include` calls it, and its text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text {
    /// Its bare name, such as `ptx.cuh`.
    pub(crate) name: &'static str,
    /// Its contents.
    pub(crate) text: &'static str,
}

/// What came of a compilation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    /// The machine code.
    pub(crate) cubin: Vec<u8>,
    /// What the compiler and ptxas said.
    pub(crate) log: String,
}

impl Nvrtc {
    /// Opens NVRTC: where [`VARIABLE`] points, else on the loader's path, else in the toolkit.
    ///
    /// # Errors
    /// [`CudaError::NoNvrtc`] when there is none, [`CudaError::NvrtcOld`] when it is older than 12.
    pub(crate) fn open() -> Result<Self, CudaError> {
        let named = std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
        match named {
            Some(place) => Self::open_in(Path::new(&place)),
            None => Self::open_any(&usual_places()),
        }
    }

    /// Opens NVRTC in a directory, or at the path of the library itself.
    ///
    /// # Errors
    /// As [`Nvrtc::open`].
    pub(crate) fn open_in(place: &Path) -> Result<Self, CudaError> {
        Self::open_any(&in_place(place))
    }

    /// Opens the first of the libraries that is there.
    fn open_any(candidates: &[PathBuf]) -> Result<Self, CudaError> {
        let mut complaint = None;
        for candidate in candidates {
            // SAFETY: the library is NVIDIA's by its name; its constructors only register state.
            match unsafe { Library::new(candidate) } {
                Ok(library) => return Self::of_library(library, candidate.parent()),
                // The complaint about the first is about the one most wanted.
                Err(error) => complaint = complaint.or_else(|| Some(said_by_loader(&error))),
            }
        }
        let what = complaint.unwrap_or_default();
        Err(CudaError::NoNvrtc { what })
    }

    /// NVRTC as opened from a directory, or by its bare name.
    fn of_library(library: Library, directory: Option<&Path>) -> Result<Self, CudaError> {
        // SAFETY: the types are those of nvrtc.h, unchanged since the functions came.
        let functions = unsafe { Functions::of(&library) };
        let functions = functions.map_err(|error| CudaError::NoNvrtc {
            what: said_by_loader(&error),
        })?;
        let (mut major, mut minor) = (0, 0);
        // SAFETY: both pointers are to integers that outlive the call.
        functions.check("nvrtcVersion", unsafe {
            (functions.version)(&mut major, &mut minor)
        })?;
        let version = Version { major, minor };
        if version < OLDEST {
            return Err(CudaError::NvrtcOld { version });
        }
        Ok(Nvrtc {
            functions,
            version,
            _builtins: directory.and_then(|directory| builtins(directory, version)),
            _library: library,
        })
    }

    /// Its version, which is that of the CUDA toolkit it came with.
    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// Compiles a source that may include the headers, by their bare names.
    ///
    /// # Errors
    /// [`CudaError::Compile`] with what the compiler said.
    pub(crate) fn compile(
        &self,
        source: Text,
        headers: &[Text],
        options: &[&str],
    ) -> Result<Output, CudaError> {
        let mut program = OneProgram::new(&self.functions, source, headers)?;
        let options: Vec<CString> = options.iter().map(|option| c_string(option)).collect();
        let pointers: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
        // SAFETY: the program is alive, and the options outlive the call.
        let status = unsafe {
            (self.functions.compile)(program.raw, pointers.len() as c_int, pointers.as_ptr())
        };
        let log = program.bytes(
            "nvrtcGetProgramLog",
            self.functions.log_size,
            self.functions.log,
        );
        let log = String::from_utf8_lossy(&log?)
            .trim_end_matches('\0')
            .to_owned();
        if let Err(error) = self.functions.check("nvrtcCompileProgram", status) {
            let log = if log.trim().is_empty() {
                error.to_string()
            } else {
                log
            };
            return Err(CudaError::Compile {
                file: source.name,
                options: options
                    .iter()
                    .map(|option| option.to_string_lossy().into_owned())
                    .collect::<Vec<_>>()
                    .join(" "),
                log,
            });
        }
        let cubin = program.bytes(
            "nvrtcGetCUBIN",
            self.functions.cubin_size,
            self.functions.cubin,
        )?;
        Ok(Output { cubin, log })
    }
}

impl Functions {
    /// The functions of a library.
    ///
    /// # Safety
    /// The library is NVRTC.
    unsafe fn of(library: &Library) -> Result<Self, libloading::Error> {
        // SAFETY: each symbol is read at the type that nvrtc.h gives it.
        unsafe {
            Ok(Functions {
                version: *library.get(c"nvrtcVersion")?,
                error_string: *library.get(c"nvrtcGetErrorString")?,
                create: *library.get(c"nvrtcCreateProgram")?,
                compile: *library.get(c"nvrtcCompileProgram")?,
                destroy: *library.get(c"nvrtcDestroyProgram")?,
                log_size: *library.get(c"nvrtcGetProgramLogSize")?,
                log: *library.get(c"nvrtcGetProgramLog")?,
                cubin_size: *library.get(c"nvrtcGetCUBINSize")?,
                cubin: *library.get(c"nvrtcGetCUBIN")?,
            })
        }
    }

    fn check(&self, call: &'static str, status: Status) -> Result<(), CudaError> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: NVRTC returns a text of its own for every number.
        let what = unsafe { CStr::from_ptr((self.error_string)(status)) };
        Err(CudaError::Driver {
            call,
            what: what.to_string_lossy().into_owned(),
        })
    }
}

/// A program of NVRTC, destroyed when it is dropped.
struct OneProgram<'a> {
    functions: &'a Functions,
    raw: Program,
}

impl<'a> OneProgram<'a> {
    fn new(functions: &'a Functions, source: Text, headers: &[Text]) -> Result<Self, CudaError> {
        let texts: Vec<CString> = headers.iter().map(|header| c_string(header.text)).collect();
        let names: Vec<CString> = headers.iter().map(|header| c_string(header.name)).collect();
        let texts: Vec<*const c_char> = texts.iter().map(|text| text.as_ptr()).collect();
        let names: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        let (text, name) = (c_string(source.text), c_string(source.name));
        let mut raw = ptr::null_mut();
        // SAFETY: every pointer is to a text that outlives the call, which copies them.
        let status = unsafe {
            (functions.create)(
                &mut raw,
                text.as_ptr(),
                name.as_ptr(),
                headers.len() as c_int,
                texts.as_ptr(),
                names.as_ptr(),
            )
        };
        functions.check("nvrtcCreateProgram", status)?;
        Ok(OneProgram { functions, raw })
    }

    fn bytes(
        &mut self,
        call: &'static str,
        size: GetSize,
        fill: GetBytes,
    ) -> Result<Vec<u8>, CudaError> {
        let mut count = 0;
        // SAFETY: the program is alive, and `count` outlives the call.
        let status = unsafe { size(self.raw, &mut count) };
        self.functions.check(call, status)?;
        let mut bytes = vec![0u8; count];
        // SAFETY: NVRTC writes as many bytes as it said.
        let status = unsafe { fill(self.raw, bytes.as_mut_ptr().cast()) };
        self.functions.check(call, status)?;
        Ok(bytes)
    }
}

impl Drop for OneProgram<'_> {
    fn drop(&mut self) {
        // SAFETY: the program was created and not destroyed before.
        unsafe { (self.functions.destroy)(&mut self.raw) };
    }
}

/// The loader's own words, which stand behind the error's.
fn said_by_loader(error: &libloading::Error) -> String {
    let words = std::error::Error::source(error);
    words.map_or_else(|| error.to_string(), ToString::to_string)
}

fn c_string(text: &str) -> CString {
    CString::new(text).expect("sources and options hold no zero byte")
}

/// NVRTC's second library, opened so that the loader knows it by name: it need not be on the
/// loader's path then. Where it is missing, compiling says so.
fn builtins(directory: &Path, version: Version) -> Option<Library> {
    let path = directory.join(format!("libnvrtc-builtins.so.{version}"));
    // SAFETY: the library is NVIDIA's by its name, and holds data alone.
    unsafe { Library::new(path) }.ok()
}

/// The libraries that a directory, or a path to the library itself, stands for.
fn in_place(place: &Path) -> Vec<PathBuf> {
    match place.is_dir() {
        true => in_directory(place),
        false => vec![place.to_owned()],
    }
}

fn in_directory(directory: &Path) -> Vec<PathBuf> {
    NAMES.iter().map(|name| directory.join(name)).collect()
}

/// The loader's path first, then where toolkits install themselves.
fn usual_places() -> Vec<PathBuf> {
    let toolkits = ["CUDA_HOME", "CUDA_PATH"]
        .iter()
        .filter_map(std::env::var_os)
        .map(PathBuf::from)
        .chain([PathBuf::from("/usr/local/cuda")]);
    let named = NAMES.iter().map(PathBuf::from);
    let installed = toolkits.flat_map(|toolkit| in_directory(&toolkit.join("lib64")));
    named.chain(installed).collect()
}

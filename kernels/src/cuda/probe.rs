//! Finding a device, without a panic whatever the machine lacks.
//!
//! cudarc panics in the first call into a driver that is not there, and in any call of a function
//! that the driver is too old to have. So the library is looked for first, then its version.

use std::ffi::c_int;
use std::sync::Arc;

use cudarc::driver::{CudaContext, DriverError, sys};

use super::error::{CudaError, Version};

/// The oldest driver whose functions are called: the first with tensor maps.
const DRIVER_OLDEST: Version = Version {
    major: 12,
    minor: 0,
};

/// The oldest compute capability: the first with bf16 products and asynchronous copies.
const CAPABILITY_OLDEST: Version = Version { major: 8, minor: 0 };

/// A device that kernels can run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Its number, from 0.
    pub ordinal: usize,
    /// Its name, such as `NVIDIA H100 80GB HBM3`.
    pub name: String,
    /// Its compute capability.
    pub capability: Version,
    /// The version of CUDA that the driver supports.
    pub driver: Version,
    /// Its memory.
    pub total_bytes: u64,
    /// What of it is free.
    pub free_bytes: u64,
}

/// A device, ready for use.
pub(crate) struct Found {
    pub(crate) context: Arc<CudaContext>,
    pub(crate) info: DeviceInfo,
}

/// The device of this number.
///
/// # Errors
/// What is missing: the driver, a driver that is new enough, the device, its capability.
pub(crate) fn open(ordinal: usize) -> Result<Found, CudaError> {
    // SAFETY: loads the driver's library, whose constructors only register state.
    if !unsafe { sys::is_culib_present() } {
        return Err(CudaError::NoDriver);
    }
    let driver = driver_version()?;
    if driver < DRIVER_OLDEST {
        return Err(CudaError::DriverOld {
            found: driver,
            needed: DRIVER_OLDEST,
        });
    }
    let devices = match CudaContext::device_count() {
        Err(error) if error.0 == sys::cudaError_enum::CUDA_ERROR_NO_DEVICE => 0,
        count => count.map_err(failed("looking for devices"))?,
    };
    let devices = usize::try_from(devices).unwrap_or(0);
    match devices {
        0 => return Err(CudaError::NoDevice),
        _ if ordinal >= devices => return Err(CudaError::Ordinal { ordinal, devices }),
        _ => {}
    }
    let context = CudaContext::new(ordinal).map_err(failed("opening the device"))?;
    let info = describe(&context, driver)?;
    if info.capability < CAPABILITY_OLDEST {
        return Err(CudaError::Capability {
            name: info.name,
            found: info.capability,
        });
    }
    Ok(Found { context, info })
}

/// Fails when the driver cannot load what this version of NVRTC compiles.
///
/// Machine code runs on every driver of its major version, and on later ones.
pub(crate) fn check_driver(driver: Version, nvrtc: Version) -> Result<(), CudaError> {
    match driver.major >= nvrtc.major {
        true => Ok(()),
        false => Err(CudaError::DriverOld {
            found: driver,
            needed: Version { minor: 0, ..nvrtc },
        }),
    }
}

/// The error that a driver's becomes.
pub(crate) fn failed(call: &'static str) -> impl Fn(DriverError) -> CudaError {
    move |error| CudaError::Driver {
        call,
        what: match error.error_string() {
            Ok(text) => text.to_string_lossy().into_owned(),
            // A toolkit's stand-in for the driver has no texts.
            Err(_) => format!("{:?}", error.0),
        },
    }
}

fn driver_version() -> Result<Version, CudaError> {
    let mut version: c_int = 0;
    // SAFETY: the library is there, and every driver has this function; the pointer is to an
    // integer that outlives the call.
    let status = unsafe { sys::cuDriverGetVersion(&mut version) };
    status
        .result()
        .map_err(failed("asking for the driver's version"))?;
    Ok(Version {
        major: version / 1000,
        minor: version % 1000 / 10,
    })
}

fn describe(context: &CudaContext, driver: Version) -> Result<DeviceInfo, CudaError> {
    let (major, minor) = context
        .compute_capability()
        .map_err(failed("asking for the compute capability"))?;
    let (free, total) = context
        .mem_get_info()
        .map_err(failed("asking for free memory"))?;
    Ok(DeviceInfo {
        ordinal: context.ordinal(),
        name: context
            .name()
            .map_err(failed("asking for the device's name"))?,
        capability: Version { major, minor },
        driver,
        total_bytes: total as u64,
        free_bytes: free as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_code_needs_a_driver_of_its_major_version() {
        let version = |major, minor| Version { major, minor };
        assert_eq!(check_driver(version(13, 0), version(13, 2)), Ok(()));
        assert_eq!(check_driver(version(13, 1), version(12, 4)), Ok(()));
        let error = check_driver(version(12, 8), version(13, 2)).unwrap_err();
        assert!(
            error.to_string().contains("12.8, and kernels need 13.0"),
            "{error}"
        );
    }

    #[test]
    fn a_machine_with_or_without_a_device_gets_an_answer_of_one_line() {
        for ordinal in [0, 1000] {
            if let Err(error) = open(ordinal) {
                assert!(!error.to_string().contains('\n'), "{error}");
            }
        }
        assert!(open(1000).is_err());
    }
}

//! A GPU through the driver: memory, launches on one stream, transfers beside them on another.
//!
//! cudarc's own tracking of events is off: the order between the two streams follows from the
//! slots, with one event for each direction, and tracking would cost an event per buffer and
//! launch.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::Arc;

use cudarc::driver::{
    CudaContext, CudaEvent, CudaFunction, CudaSlice, CudaStream, DevicePtr, DriverError,
    PinnedHostSlice, result, sys,
};
use cudarc::nvrtc::Ptx;

use super::compile::Compiled;
use super::device::{Address, Device, Matrix, SLOTS};
use super::error::CudaError;
use super::kernels::Kernel;
use super::parameters::{Parameter, TensorMap};
use super::probe::failed;

/// Dynamic shared memory that a kernel may have without asking.
const SHARED_BYTES_UNASKED: u32 = 48 << 10;

/// A GPU with its kernels loaded; used by one thread at a time.
pub(crate) struct Gpu {
    context: Arc<CudaContext>,
    multiprocessors: u32,
    /// Runs kernels, and the small copies of results behind them.
    compute: Arc<CudaStream>,
    /// Uploads beside the computation.
    copies: Arc<CudaStream>,
    functions: HashMap<&'static str, CudaFunction>,
    slots: [Slot; SLOTS],
    /// What was allocated, kept until the end.
    memory: Vec<CudaSlice<u8>>,
}

/// Page-locked memory of a slot, which alone is copied beside the computation.
struct Slot {
    /// Written by the host only: reading it would be slow.
    outgoing: Option<PinnedHostSlice<u8>>,
    incoming: Option<PinnedHostSlice<u8>>,
    /// The last upload is done.
    sent: CudaEvent,
    /// The last result is back.
    fetched: CudaEvent,
    /// How many bytes the last result has.
    fetched_bytes: usize,
}

impl Slot {
    fn new(context: &Arc<CudaContext>) -> Result<Self, DriverError> {
        // A thread that waits for results sleeps: the cores are needed for tokenizing.
        let sleeping = Some(sys::CUevent_flags::CU_EVENT_BLOCKING_SYNC);
        Ok(Slot {
            outgoing: None,
            incoming: None,
            sent: context.new_event(None)?,
            fetched: context.new_event(sleeping)?,
            fetched_bytes: 0,
        })
    }
}

impl Gpu {
    /// The device with these kernels, each out of the module that was compiled from its file.
    ///
    /// # Errors
    /// [`CudaError::Driver`] when the driver does not take the modules.
    pub(crate) fn new(
        context: Arc<CudaContext>,
        modules: &[Compiled],
        kernels: &[Kernel],
    ) -> Result<Self, CudaError> {
        // SAFETY: every slice is allocated on `compute`, and `send` orders the other stream.
        unsafe { context.disable_event_tracking() };
        let mut functions = HashMap::new();
        for module in modules {
            let loaded = context
                .load_module(Ptx::from_binary(module.cubin.clone()))
                .map_err(failed("loading kernels"))?;
            for kernel in kernels.iter().filter(|kernel| kernel.file == module.file) {
                let function = loaded
                    .load_function(kernel.name)
                    .map_err(failed("looking up a kernel"))?;
                allow_shared(&function, kernel).map_err(failed("asking for shared memory"))?;
                functions.insert(kernel.name, function);
            }
        }
        let multiprocessors = context
            .attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
            .map_err(failed("counting multiprocessors"))?;
        let stream = || context.new_stream().map_err(failed("making a stream"));
        let slot = || Slot::new(&context).map_err(failed("making an event"));
        Ok(Gpu {
            multiprocessors: u32::try_from(multiprocessors).unwrap_or(1),
            compute: stream()?,
            copies: stream()?,
            slots: [slot()?, slot()?],
            context,
            functions,
            memory: Vec::new(),
        })
    }
}

fn allow_shared(function: &CudaFunction, kernel: &Kernel) -> Result<(), DriverError> {
    if kernel.shared_bytes <= SHARED_BYTES_UNASKED {
        return Ok(());
    }
    function.set_attribute(
        sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
        kernel.shared_bytes as i32,
    )
}

/// The buffer, made anew when it is too small.
fn grown(
    context: &Arc<CudaContext>,
    buffer: &mut Option<PinnedHostSlice<u8>>,
    bytes: usize,
    flags: u32,
) -> Result<(), DriverError> {
    if buffer.as_ref().is_some_and(|buffer| buffer.len() >= bytes) {
        return Ok(());
    }
    // SAFETY: the bytes are written before they are read: outgoing ones by `send`, incoming ones
    // by the copy that `fetch` begins.
    *buffer = Some(unsafe { context.alloc_pinned_with_flags(bytes.next_power_of_two(), flags)? });
    Ok(())
}

impl Device for Gpu {
    fn multiprocessors(&self) -> u32 {
        self.multiprocessors
    }

    fn allocate(&mut self, bytes: usize) -> Result<Address, CudaError> {
        let memory = self
            .compute
            .alloc_zeros::<u8>(bytes)
            .map_err(failed("allocating memory"))?;
        // The other stream must not write before the zeros are there.
        self.compute
            .synchronize()
            .map_err(failed("clearing memory"))?;
        let address = memory.device_ptr(&self.compute).0;
        self.memory.push(memory);
        Ok(Address(address))
    }

    fn write(&mut self, to: Address, bytes: &[u8]) -> Result<(), CudaError> {
        let copied = || {
            self.context.bind_to_thread()?;
            // SAFETY: the address is of this device; `bytes` outlives the copy, which is waited
            // for.
            unsafe { result::memcpy_htod_async(to.0, bytes, self.compute.cu_stream())? };
            self.compute.synchronize()
        };
        copied().map_err(failed("copying to the device"))
    }

    #[cfg(test)]
    fn read(&mut self, from: Address, bytes: &mut [u8]) -> Result<(), CudaError> {
        let mut copied = || {
            self.context.bind_to_thread()?;
            // SAFETY: the address is of this device; `bytes` outlives the copy, which is waited
            // for.
            unsafe { result::memcpy_dtoh_async(bytes, from.0, self.compute.cu_stream())? };
            self.compute.synchronize()
        };
        copied().map_err(failed("copying from the device"))
    }

    fn tensor_map(
        &mut self,
        matrix: Matrix,
        box_rows: u32,
        box_columns: u32,
    ) -> Result<TensorMap, CudaError> {
        let mut map = sys::CUtensorMap { opaque: [0; 16] };
        let sizes = [matrix.columns, matrix.rows];
        let (row_bytes, boxes, strides) = ([2 * matrix.columns], [box_columns, box_rows], [1, 1]);
        // SAFETY: the arrays have as many entries as two dimensions need, and outlive the call.
        let status = unsafe {
            sys::cuTensorMapEncodeTiled(
                &mut map,
                sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
                2,
                matrix.base.0 as *mut c_void,
                sizes.as_ptr(),
                row_bytes.as_ptr(),
                boxes.as_ptr(),
                strides.as_ptr(),
                sys::CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
                sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_128B,
                sys::CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                sys::CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
            )
        };
        status.result().map_err(failed("making a tensor map"))?;
        Ok(TensorMap(map.opaque))
    }

    unsafe fn launch(
        &mut self,
        kernel: &Kernel,
        grid: [u32; 3],
        arguments: &[&dyn Parameter],
    ) -> Result<(), CudaError> {
        let function = &self.functions[kernel.name];
        let mut addresses: Vec<*mut c_void> = arguments.iter().map(|it| it.address()).collect();
        // SAFETY: the caller vouches for the arguments; the driver copies them before it returns.
        let launched = self.context.bind_to_thread().and_then(|()| unsafe {
            result::launch_kernel(
                function.cu_function(),
                grid.into(),
                (kernel.threads, 1, 1),
                kernel.shared_bytes,
                self.compute.cu_stream(),
                &mut addresses,
            )
        });
        launched.map_err(failed(kernel.name))
    }

    fn send(&mut self, slot: usize, to: Address, bytes: &[u8]) -> Result<(), CudaError> {
        let slot = &mut self.slots[slot];
        let mut sent = || {
            self.context.bind_to_thread()?;
            let flags = sys::CU_MEMHOSTALLOC_WRITECOMBINED;
            grown(&self.context, &mut slot.outgoing, bytes.len(), flags)?;
            let pinned = slot.outgoing.as_mut().expect("it was made just now");
            let pinned = &mut pinned.as_mut_slice()?[..bytes.len()];
            pinned.copy_from_slice(bytes);
            // SAFETY: the address is of this device. The pinned bytes are not written again before
            // the slot's result is back, and that is computed from this copy.
            unsafe { result::memcpy_htod_async(to.0, pinned, self.copies.cu_stream())? };
            slot.sent.record(&self.copies)?;
            self.compute.wait(&slot.sent)
        };
        sent().map_err(failed("sending a batch"))
    }

    fn fetch(&mut self, slot: usize, from: Address, bytes: usize) -> Result<(), CudaError> {
        let slot = &mut self.slots[slot];
        let mut fetched = || {
            self.context.bind_to_thread()?;
            grown(&self.context, &mut slot.incoming, bytes, 0)?;
            let pinned = slot.incoming.as_mut().expect("it was made just now");
            let pinned = &mut pinned.as_mut_slice()?[..bytes];
            // SAFETY: the address is of this device; the pinned bytes are read only after
            // `fetched` has passed. On the stream of the kernels, since behind the next upload it
            // would hold up that upload until these kernels end.
            unsafe { result::memcpy_dtoh_async(pinned, from.0, self.compute.cu_stream())? };
            slot.fetched_bytes = bytes;
            slot.fetched.record(&self.compute)
        };
        fetched().map_err(failed("fetching results"))
    }

    fn receive(&mut self, slot: usize) -> Result<&[u8], CudaError> {
        let slot = &self.slots[slot];
        let received = || {
            slot.fetched.synchronize()?;
            match &slot.incoming {
                Some(pinned) => Ok(&pinned.as_slice()?[..slot.fetched_bytes]),
                None => Ok(&[][..]),
            }
        };
        received().map_err(failed("computing a batch"))
    }
}

//! Emulated global memory that gives itself back.

use std::ffi::c_void;
use std::marker::PhantomData;

use super::abi::Library;

/// Values in the emulated device's memory.
pub(crate) struct Memory<T> {
    library: &'static Library,
    base: *mut c_void,
    count: usize,
    values: PhantomData<T>,
}

// SAFETY: the memory is this value's own; the library's calls may come from any thread.
unsafe impl<T: Send> Send for Memory<T> {}

impl<T: Copy> Memory<T> {
    pub(super) fn poisoned(library: &'static Library, count: usize) -> Memory<T> {
        // SAFETY: any size may be asked for.
        let base = unsafe { (library.alloc)(count * size_of::<T>()) };
        assert!(!base.is_null(), "no memory for {count} values");
        Memory {
            library,
            base,
            count,
            values: PhantomData,
        }
    }

    /// Where the values lie, for a kernel's parameters; a multiple of 16.
    pub(crate) fn address(&self) -> u64 {
        self.base as u64
    }

    /// How many values.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The same as a pointer.
    pub(crate) fn base(&self) -> *mut c_void {
        self.base
    }

    /// Writes values from the first on.
    pub(crate) fn write(&mut self, values: &[T]) {
        assert!(values.len() <= self.count, "more values than memory");
        // SAFETY: the allocation has room for `count` values, and `self` is borrowed alone.
        unsafe {
            self.base
                .cast::<T>()
                .copy_from_nonoverlapping(values.as_ptr(), values.len());
        }
    }

    /// What the values are now. `T` must be a plain number, for which poison is a value too.
    pub(crate) fn read(&self) -> Vec<T> {
        // SAFETY: all bytes were written by the allocation, and `T` is a plain number.
        unsafe { std::slice::from_raw_parts(self.base.cast::<T>(), self.count) }.to_vec()
    }
}

impl<T> Drop for Memory<T> {
    fn drop(&mut self) {
        // SAFETY: it came from the same library and is given back once.
        unsafe { (self.library.free)(self.base) }
    }
}

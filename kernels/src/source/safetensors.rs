//! The safetensors files of a directory, in one file or sharded.
//!
//! Headers are parsed by the `safetensors` crate; offsets are checked here against the length of
//! each file, and tensors are read one at a time, so a model larger than memory fails before
//! anything is allocated.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use ::safetensors::Dtype;
use ::safetensors::tensor::{Metadata, TensorInfo};
use candle_core::{DType, Device, Tensor};
use serde::Deserialize;

use super::json::{JSON_BYTES_MAX, malformed, read_json};
use super::{check_all_used, check_shape, without_backtrace};
use crate::ModelError;

/// Most shards of one model.
const SHARDS_MAX: usize = 1024;

/// The opened files of a directory.
pub(crate) struct Safetensors {
    path: PathBuf,
    shards: Vec<Shard>,
    places: HashMap<String, usize>,
}

/// One safetensors file.
struct Shard {
    path: PathBuf,
    file: File,
    header: Metadata,
    data_offset: u64,
}

/// model.safetensors.index.json: which shard holds which tensor.
#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

impl Safetensors {
    /// Opens a directory's files and checks every header, without reading weights.
    pub(crate) fn open(path: &Path) -> Result<Self, ModelError> {
        let shards = open_shards(path)?;
        let mut places = HashMap::new();
        for (place, shard) in shards.iter().enumerate() {
            places.extend(shard.header.tensors().into_keys().map(|name| (name, place)));
        }
        Ok(Safetensors {
            path: path.into(),
            shards,
            places,
        })
    }

    /// Fails unless the files hold exactly the tensors of these names and shapes, in a type that
    /// can be read. Those that `redundant` names may be there as well.
    pub(crate) fn check(
        &self,
        needed: impl Iterator<Item = (String, Vec<usize>)>,
        redundant: impl Fn(&str) -> bool,
    ) -> Result<(), ModelError> {
        let mut used = HashSet::new();
        for (name, shape) in needed {
            let (shard, info) = self.info(&name)?;
            check_shape(&shard.path, &name, &info.shape, &shape)?;
            if dtype(info.dtype).is_none() {
                let what = format!("the tensor {name} of type {:?}", info.dtype);
                return Err(ModelError::Unsupported {
                    path: shard.path.clone(),
                    what,
                });
            }
            used.insert(name);
        }
        let names = self.places.keys().map(String::as_str);
        check_all_used(&self.path, names.filter(|name| !redundant(name)), &used)
    }

    /// The values of a tensor that [`Self::check`] has let pass, rows first.
    pub(crate) fn read(&self, name: &str) -> Result<Vec<f32>, ModelError> {
        let (shard, info) = self.info(name)?;
        let (start, end) = info.data_offsets;
        let io = |source| ModelError::Io {
            path: shard.path.clone(),
            source,
        };
        let mut bytes = vec![0; end - start];
        let mut file = &shard.file;
        file.seek(SeekFrom::Start(shard.data_offset + start as u64))
            .map_err(io)?;
        file.read_exact(&mut bytes).map_err(io)?;
        let dtype = dtype(info.dtype).expect("check has let no other type pass");
        Tensor::from_raw_buffer(&bytes, dtype, &info.shape, &Device::Cpu)
            .and_then(|tensor| tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1())
            .map_err(|e| malformed(&shard.path, without_backtrace(e)))
    }

    fn info(&self, name: &str) -> Result<(&Shard, &TensorInfo), ModelError> {
        let found = self.places.get(name).map(|place| &self.shards[*place]);
        found
            .and_then(|shard| Some((shard, shard.header.info(name)?)))
            .ok_or_else(|| ModelError::Missing {
                path: self.path.clone(),
                key: format!("the tensor {name}"),
            })
    }
}

/// The safetensors files of a directory: those of the index, or model.safetensors alone.
fn open_shards(path: &Path) -> Result<Vec<Shard>, ModelError> {
    let index_path = path.join("model.safetensors.index.json");
    if !index_path.exists() {
        return Ok(vec![Shard::open(&path.join("model.safetensors"))?]);
    }
    let index: Index = read_json(&index_path)?;
    let names: BTreeSet<&String> = index.weight_map.values().collect();
    if names.len() > SHARDS_MAX {
        return Err(malformed(
            &index_path,
            format!("{} shards, more than {SHARDS_MAX}", names.len()),
        ));
    }
    let open = |name: &&String| {
        // A name is a file of this directory, never a way out of it.
        let is_plain = Path::new(name)
            .file_name()
            .is_some_and(|plain| plain == name.as_str());
        match is_plain {
            true => Shard::open(&path.join(name)),
            false => Err(malformed(
                &index_path,
                format!("{name:?} is no plain file name"),
            )),
        }
    };
    names.iter().map(open).collect()
}

impl Shard {
    /// Opens a safetensors file and checks that each tensor lies inside it.
    fn open(path: &Path) -> Result<Self, ModelError> {
        let io = |source| ModelError::Io {
            path: path.into(),
            source,
        };
        let mut file = File::open(path).map_err(io)?;
        let file_bytes = file.metadata().map_err(io)?.len();
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(io)?;
        let length = u64::from_le_bytes(length);
        if length > JSON_BYTES_MAX.min(file_bytes - 8) {
            return Err(malformed(path, format!("a header of {length} bytes")));
        }
        let mut header = vec![0; length as usize];
        file.read_exact(&mut header).map_err(io)?;
        let header: Metadata = serde_json::from_slice(&header).map_err(|e| malformed(path, e))?;
        let shard = Shard {
            path: path.into(),
            file,
            header,
            data_offset: 8 + length,
        };
        for (name, info) in shard.header.tensors() {
            shard.check_place(&name, info, file_bytes)?;
        }
        Ok(shard)
    }

    /// Fails unless a tensor's bytes are as many as its shape needs, and inside the file.
    fn check_place(
        &self,
        name: &str,
        info: &TensorInfo,
        file_bytes: u64,
    ) -> Result<(), ModelError> {
        let (start, end) = info.data_offsets;
        let values = info
            .shape
            .iter()
            .try_fold(1usize, |product, n| product.checked_mul(*n));
        let needed = values.and_then(|values| values.checked_mul(info.dtype.bitsize()));
        let held = end
            .checked_sub(start)
            .and_then(|bytes| bytes.checked_mul(8));
        if needed.is_none() || needed != held {
            return Err(malformed(
                &self.path,
                format!("the tensor {name} has a wrong size"),
            ));
        }
        if end as u64 > file_bytes - self.data_offset {
            let what = format!("the tensor {name} goes past the file's {file_bytes} bytes");
            return Err(malformed(&self.path, what));
        }
        Ok(())
    }
}

/// candle's name of a supported element type.
fn dtype(dtype: Dtype) -> Option<DType> {
    match dtype {
        Dtype::F32 => Some(DType::F32),
        Dtype::F16 => Some(DType::F16),
        Dtype::BF16 => Some(DType::BF16),
        _ => None,
    }
}

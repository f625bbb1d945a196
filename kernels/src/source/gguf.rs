//! GGUF files: header and dequantisation by candle, checks and the Llama conventions by us.
//!
//! candle's reader expands what it reads (one byte of an array becomes a 32-byte value), so it is
//! given the first [`HEADER_BYTES_MAX`] bytes only, and every tensor is checked against the file's
//! length before it is read.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use candle_core::Device;
use candle_core::quantized::gguf_file::{Content, Value};

use super::{LayerPart, Part, Source, check_all_used, check_shape, without_backtrace};
use crate::{Config, ModelError, Tokenizer};

/// Longest header read. The largest vocabularies (250,000 tokens with merges) take 12 MB.
const HEADER_BYTES_MAX: u64 = 32 << 20;

/// An opened GGUF file.
pub(crate) struct Gguf {
    path: PathBuf,
    file: File,
    content: Content,
    config: Config,
}

impl Gguf {
    /// Opens a file and checks its header, without reading weights.
    pub(crate) fn open(path: &Path) -> Result<Self, ModelError> {
        let io = |source| ModelError::Io {
            path: path.into(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        let file_bytes = file.metadata().map_err(io)?.len();
        let mut header = Vec::new();
        (&file)
            .take(HEADER_BYTES_MAX)
            .read_to_end(&mut header)
            .map_err(io)?;
        refuse_zero_alignment(path, &header)?;
        let content = Content::read(&mut Cursor::new(header))
            .map_err(|e| malformed(path, without_backtrace(e)))?;
        let config = Fields {
            path,
            values: &content.metadata,
        }
        .config(&content)?;
        config.check(path)?;
        let gguf = Gguf {
            path: path.into(),
            file,
            content,
            config,
        };
        gguf.check_tensors(file_bytes)?;
        Ok(gguf)
    }

    /// Fails unless the file holds exactly the decoder's tensors, each of its shape and inside.
    fn check_tensors(&self, file_bytes: u64) -> Result<(), ModelError> {
        let mut used = HashSet::new();
        for part in Part::all(&self.config) {
            let name = name(part);
            let info = self
                .content
                .tensor_infos
                .get(&name)
                .ok_or_else(|| ModelError::Missing {
                    path: self.path.clone(),
                    key: format!("the tensor {name}"),
                })?;
            check_shape(
                &self.path,
                &name,
                info.shape.dims(),
                &part.shape(&self.config),
            )?;
            let values = info.shape.elem_count();
            let bytes = values.div_ceil(info.ggml_dtype.block_size()) * info.ggml_dtype.type_size();
            let end = self.content.tensor_data_offset.checked_add(info.offset);
            let end = end.and_then(|start| start.checked_add(bytes as u64));
            if end.is_none_or(|end| end > file_bytes) {
                let what = format!("the tensor {name} goes past the file's {file_bytes} bytes");
                return Err(malformed(&self.path, what));
            }
            used.insert(name);
        }
        check_all_used(
            &self.path,
            self.content.tensor_infos.keys().map(String::as_str),
            &used,
        )
    }
}

impl Source for Gguf {
    fn config(&self) -> &Config {
        &self.config
    }

    fn tokenizer(&self) -> Result<Tokenizer, ModelError> {
        let fields = Fields {
            path: &self.path,
            values: &self.content.metadata,
        };
        let kind = fields.text("tokenizer.ggml.model")?;
        if kind != "gpt2" {
            return Err(fields.unsupported(format!("the tokenizer model {kind}")));
        }
        let vocabulary = fields.texts("tokenizer.ggml.tokens")?;
        let merges = fields.texts("tokenizer.ggml.merges")?;
        let pre = fields.text("tokenizer.ggml.pre")?;
        let begin = fields.whole("tokenizer.ggml.bos_token_id").ok();
        Tokenizer::from_vocabulary(&self.path, vocabulary, merges, pre, begin)
    }

    fn tensor(&mut self, part: Part) -> Result<Vec<f32>, ModelError> {
        let malformed = |e| malformed(&self.path, without_backtrace(e));
        let values = self
            .content
            .tensor(&mut self.file, &name(part), &Device::Cpu)
            .and_then(|tensor| tensor.dequantize(&Device::Cpu))
            .and_then(|tensor| tensor.flatten_all()?.to_vec1::<f32>())
            .map_err(malformed)?;
        match part {
            Part::Layer(_, LayerPart::Query | LayerPart::Key) => Ok(half_split(
                &values,
                self.config.head_width,
                self.config.width,
            )),
            _ => Ok(values),
        }
    }
}

/// Rows of a query or key projection `[heads·D, C]`, from GGUF's interleaved order, where rotary
/// embedding turns rows `2i` and `2i + 1` of a head, to the half-split one.
fn half_split(values: &[f32], head_width: usize, width: usize) -> Vec<f32> {
    let half = head_width / 2;
    let mut split = Vec::with_capacity(values.len());
    for head in values.chunks_exact(head_width * width) {
        for row in (0..half).map(|i| 2 * i).chain((0..half).map(|i| 2 * i + 1)) {
            split.extend_from_slice(&head[row * width..][..width]);
        }
    }
    split
}

/// The tensor's name in a GGUF file.
fn name(part: Part) -> String {
    let (layer, part) = match part {
        Part::Embedding => return "token_embd.weight".into(),
        Part::FinalNorm => return "output_norm.weight".into(),
        Part::Head => return "output.weight".into(),
        Part::Layer(layer, part) => (layer, part),
    };
    let part = match part {
        LayerPart::AttentionNorm => "attn_norm",
        LayerPart::Query => "attn_q",
        LayerPart::Key => "attn_k",
        LayerPart::Value => "attn_v",
        LayerPart::Output => "attn_output",
        LayerPart::FeedForwardNorm => "ffn_norm",
        LayerPart::Gate => "ffn_gate",
        LayerPart::Up => "ffn_up",
        LayerPart::Down => "ffn_down",
    };
    format!("blk.{layer}.{part}.weight")
}

fn malformed(path: &Path, what: impl ToString) -> ModelError {
    ModelError::Malformed {
        path: path.into(),
        what: what.to_string(),
    }
}

/// Fails on an alignment of zero, by which candle divides.
fn refuse_zero_alignment(path: &Path, header: &[u8]) -> Result<(), ModelError> {
    let key = b"general.alignment";
    let mut places = header
        .windows(key.len())
        .enumerate()
        .filter(|(_, window)| window == key);
    let zero = places.any(|(at, _)| {
        // The key, its type in four bytes, its value in one to four.
        let value = header.get(at + key.len() + 4..);
        value.is_some_and(|value| value.iter().take(4).all(|byte| *byte == 0))
    });
    if zero {
        Err(malformed(path, "its alignment is 0"))
    } else {
        Ok(())
    }
}

/// Typed access to the header's values.
struct Fields<'a> {
    path: &'a Path,
    values: &'a HashMap<String, Value>,
}

impl Fields<'_> {
    fn config(&self, content: &Content) -> Result<Config, ModelError> {
        let architecture = self.text("general.architecture")?;
        if architecture != "llama" {
            return Err(self.unsupported(format!("the architecture {architecture}")));
        }
        if let Ok(scaling) = self.text("llama.rope.scaling.type")
            && scaling != "none"
        {
            return Err(self.unsupported(format!("rotary scaling of type {scaling}")));
        }
        let width = self.whole("llama.embedding_length")?;
        let heads = self.whole("llama.attention.head_count")?;
        let head_width = match self.whole("llama.attention.key_length") {
            Ok(head_width) => head_width,
            Err(_) => width / heads.max(1),
        };
        let turned = self
            .whole("llama.rope.dimension_count")
            .unwrap_or(head_width);
        if turned != head_width {
            return Err(self.unsupported(format!(
                "rotary embedding of {turned} of {head_width} channels"
            )));
        }
        let file_name = self
            .path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned());
        Ok(Config {
            name: self
                .text("general.name")
                .map(str::to_string)
                .unwrap_or(file_name.unwrap_or_default()),
            layers: self.whole("llama.block_count")?,
            width,
            hidden: self.whole("llama.feed_forward_length")?,
            heads,
            kv_heads: self.whole("llama.attention.head_count_kv").unwrap_or(heads),
            head_width,
            vocabulary: self.list("tokenizer.ggml.tokens")?.len(),
            context: self.whole("llama.context_length")?,
            rope_base: self.float("llama.rope.freq_base").unwrap_or(10_000.0),
            norm_epsilon: self.float("llama.attention.layer_norm_rms_epsilon")? as f32,
            tied: !content.tensor_infos.contains_key(&name(Part::Head)),
        })
    }

    fn value(&self, key: &str) -> Result<&Value, ModelError> {
        let missing = || ModelError::Missing {
            path: self.path.into(),
            key: key.into(),
        };
        self.values.get(key).ok_or_else(missing)
    }

    fn whole(&self, key: &str) -> Result<usize, ModelError> {
        let value = match self.value(key)? {
            Value::I32(value) => u64::try_from(*value).ok(),
            Value::I64(value) => u64::try_from(*value).ok(),
            value => value.to_u64().ok(),
        };
        let value = value.and_then(|value| usize::try_from(value).ok());
        value.ok_or_else(|| self.wrong(key, "a whole number"))
    }

    fn float(&self, key: &str) -> Result<f64, ModelError> {
        match self.value(key)? {
            Value::F32(value) => Ok(f64::from(*value)),
            Value::F64(value) => Ok(*value),
            _ => Err(self.wrong(key, "a number")),
        }
    }

    fn text(&self, key: &str) -> Result<&str, ModelError> {
        match self.value(key)? {
            Value::String(value) => Ok(value),
            _ => Err(self.wrong(key, "a string")),
        }
    }

    fn list(&self, key: &str) -> Result<&[Value], ModelError> {
        match self.value(key)? {
            Value::Array(values) => Ok(values),
            _ => Err(self.wrong(key, "a list")),
        }
    }

    fn texts(&self, key: &str) -> Result<Vec<String>, ModelError> {
        let text = |value: &Value| match value {
            Value::String(text) => Ok(text.clone()),
            _ => Err(self.wrong(key, "a list of strings")),
        };
        self.list(key)?.iter().map(text).collect()
    }

    fn wrong(&self, key: &str, expected: &str) -> ModelError {
        malformed(self.path, format!("{key} is not {expected}"))
    }

    fn unsupported(&self, what: String) -> ModelError {
        ModelError::Unsupported {
            path: self.path.into(),
            what,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_split_puts_even_rows_of_each_head_first() {
        let rows: Vec<f32> = (0..8).flat_map(|row| [row as f32; 3]).collect();
        let split = half_split(&rows, 4, 3);
        let order: Vec<f32> = split.chunks(3).map(|row| row[0]).collect();
        assert_eq!(order, [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    }
}

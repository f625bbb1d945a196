"""Writes a GGUF model's weights as a Hugging Face directory, so that transformers runs the very same ones.

Weights are dequantised to float32. GGUF keeps the rows of query and key heads in the order that turns pairs of
neighbours; Hugging Face's turns halves, so those rows go back. Needs gguf, numpy and safetensors:

    python3 convert.py MODEL.gguf DIRECTORY
"""

import json
import pathlib
import sys

import gguf
import numpy as np
import safetensors.numpy

LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
WHOLE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def hugging_face_name(name):
    parts = name.removesuffix(".weight").split(".")
    if parts[0] == "blk":
        return f"model.layers.{parts[1]}.{LAYER[parts[2]]}.weight"
    return f"{WHOLE[parts[0]]}.weight"


def halves(weight, heads):
    """Rows of each head from pairs of neighbours to two halves."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def weights(reader, config):
    tensors = {}
    for tensor in reader.tensors:
        shape = tuple(int(n) for n in tensor.shape[::-1])
        weight = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(shape)
        if ".attn_q." in tensor.name:
            weight = halves(weight, config["num_attention_heads"])
        if ".attn_k." in tensor.name:
            weight = halves(weight, config["num_key_value_heads"])
        tensors[hugging_face_name(tensor.name)] = np.ascontiguousarray(weight)
    return tensors


def config(fields, tied):
    def of(name):
        return fields[f"llama.{name}"]

    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": of("embedding_length"),
        "intermediate_size": of("feed_forward_length"),
        "num_hidden_layers": of("block_count"),
        "num_attention_heads": of("attention.head_count"),
        "num_key_value_heads": of("attention.head_count_kv"),
        "vocab_size": len(fields["tokenizer.ggml.tokens"]),
        "max_position_embeddings": of("context_length"),
        "rms_norm_eps": of("attention.layer_norm_rms_epsilon"),
        "rope_theta": of("rope.freq_base"),
        "tie_word_embeddings": tied,
        "bos_token_id": fields["tokenizer.ggml.bos_token_id"],
        "torch_dtype": "float32",
    }


def tokenizer(fields):
    """Byte-level BPE that splits off every digit, as `tokenizer.ggml.pre` = smollm says."""
    assert fields["tokenizer.ggml.pre"] == "smollm", "only this one is written out here"
    splits = [
        {"type": "Digits", "individual_digits": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    ]
    ids = {token: n for n, token in enumerate(fields["tokenizer.ggml.tokens"])}
    merges = fields["tokenizer.ggml.merges"]
    return {
        "version": "1.0",
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": splits},
        "model": {"type": "BPE", "vocab": ids, "merges": merges},
        "added_tokens": [],
    }


def convert(source, directory):
    reader = gguf.GGUFReader(source)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    assert fields["general.architecture"] == "llama", "only the Llama family is converted"
    tied = all(tensor.name != "output.weight" for tensor in reader.tensors)
    shape = config(fields, tied)
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(shape, indent=2))
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer(fields)))
    metadata = {"format": "pt"}
    safetensors.numpy.save_file(weights(reader, shape), directory / "model.safetensors", metadata)


if __name__ == "__main__":
    convert(*sys.argv[1:])

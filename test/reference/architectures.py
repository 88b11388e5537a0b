"""Writes test/fixtures/architectures/: small random models of every architecture that the engine has, and what transformers
predicts with them in fp32.

    python test/reference/architectures.py [NAME...]      (needs requirements.txt)

A model is made by transformers' own class, its weights are drawn anew, with scales at which every part of it matters, and its
matrices are rounded to Q8_0. Model and file then hold the same numbers, so the only thing that an engine may do differently is
arithmetic. Tensors and metadata get the names that llama.cpp's converter gives them.

For each entry of index.json, NAME.logits has a log-probability for every position and token, as half floats, little endian.
"""

import json
import os
import sys

import gguf
import numpy as np
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "architectures")
VOCAB = 64
# More than one span of 128 positions.
LENGTH = 160
Q8_0 = gguf.GGMLQuantizationType.Q8_0

SIZES = dict(
    vocab_size=VOCAB,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=32,
    max_position_embeddings=512,
    rms_norm_eps=1e-5,
    attn_implementation="eager",
)


def draw(name, shape, random):
    """A weight's values: matrices keep the size of what they multiply, roughly; what they are added to is drowned by nothing."""
    if name.endswith("norm.weight"):
        return random.uniform(0.4, 1.6, shape)
    if name.endswith(".bias"):
        return random.normal(0, 1, shape)
    gain = next(gain for part, gain in GAINS.items() if part in name)
    return random.normal(0, gain / np.sqrt(shape[1]), shape)


GAINS = {"embed_tokens": 2.5, "q_proj": 1.3, "qkv_proj": 1.3, "k_proj": 1.3, "v_proj": 1.2, "o_proj": 2.5, "gate_proj": 2.0, "up_proj": 1.5, "down_proj": 1.5, "lm_head": 2.5}


def neighbours(values, heads):
    """Rows of a head from transformers' order, where (i, i + half) turn together, to that of `llama` files: (2i, 2i + 1)."""
    return values.reshape(heads, 2, -1, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


def write(name, arch, model, random, metadata):
    """Draws the model's weights and writes them, leaving in the model what the file holds."""
    config = model.config
    head_size = getattr(config, "head_dim", config.hidden_size // config.num_attention_heads)
    turning = config.rope_parameters.get("partial_rotary_factor", 1)
    names = gguf.get_tensor_name_map(next(a for a, n in gguf.MODEL_ARCH_NAMES.items() if n == arch), config.num_hidden_layers)
    writer = gguf.GGUFWriter(os.path.join(FOLDER, f"{name}.gguf"), arch)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    if head_size * config.num_attention_heads != config.hidden_size:
        writer.add_key_length(head_size)
        writer.add_value_length(head_size)
    writer.add_rope_dimension_count(int(turning * head_size))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    metadata(writer)
    weights = {}
    for key, old in model.state_dict().items():
        if key == "lm_head.weight" and config.tie_word_embeddings:
            continue
        values = draw(key, tuple(old.shape), random).astype(np.float32)
        if arch.startswith("gemma"):
            # Embedded tokens are multiplied by 5.7, and would drown what is added to them.
            less = 5 if arch == "gemma2" else 3
            values *= {"model.embed_tokens.weight": 1 / less, "model.norm.weight": less}.get(key, 1)
            values -= key.endswith("norm.weight")  # transformers adds the 1, files have the sum
        quants = gguf.quantize(values, Q8_0) if values.ndim == 2 else None
        weights[key] = torch.from_numpy(values if quants is None else gguf.dequantize(quants, Q8_0))
        stored = values if quants is None else quants
        if arch.startswith("gemma") and key.endswith("norm.weight"):
            stored = values + 1
        if arch == "llama" and ".q_proj." in key:
            stored = neighbours(stored, config.num_attention_heads)
        if arch == "llama" and ".k_proj." in key:
            stored = neighbours(stored, config.num_key_value_heads)
        writer.add_tensor(names.get_name(key, (".weight", ".bias")), stored, raw_dtype=None if quants is None else Q8_0)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    model.tie_weights()
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def rope_base(base):
    return lambda writer: writer.add_rope_freq_base(base)


def rope(kind, **parameters):
    return {"rope_type": kind, "rope_theta": 10000.0} | parameters


def llama():
    config = LlamaConfig(**SIZES, tie_word_embeddings=False, rope_parameters=rope("default"))
    return "llama", LlamaForCausalLM(config), rope_base(10000.0)


def llama3():
    parameters = rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)
    model = LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=True, rope_parameters=parameters))

    def metadata(writer):
        writer.add_rope_freq_base(10000.0)
        plain = 10000.0 ** (-torch.arange(0, 32, 2).double() / 32)
        writer.add_tensor("rope_freqs.weight", (plain / model.model.rotary_emb.inv_freq.double()).numpy().astype(np.float32))

    return "llama", model, metadata


def llama_linear():
    def metadata(writer):
        writer.add_rope_freq_base(10000.0)
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(4.0)

    config = LlamaConfig(**SIZES, tie_word_embeddings=False, rope_parameters=rope("linear", factor=4.0))
    return "llama", LlamaForCausalLM(config), metadata


def qwen2_yarn():
    def metadata(writer):
        writer.add_rope_freq_base(10000.0)
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(8.0)
        writer.add_rope_scaling_orig_ctx_len(64)

    parameters = rope("yarn", factor=8.0, original_max_position_embeddings=64)
    config = Qwen2Config(**SIZES | {"hidden_size": 64}, tie_word_embeddings=False, rope_parameters=parameters)
    return "qwen2", Qwen2ForCausalLM(config), metadata


def qwen2():
    config = Qwen2Config(**SIZES | {"hidden_size": 64}, tie_word_embeddings=True, rope_parameters=rope("default", rope_theta=1e6))
    return "qwen2", Qwen2ForCausalLM(config), rope_base(1e6)


def qwen3():
    config = Qwen3Config(**SIZES, tie_word_embeddings=False, rope_parameters=rope("default", rope_theta=1e6))
    return "qwen3", Qwen3ForCausalLM(config), rope_base(1e6)


def gemma2():
    """Windows in every second layer, and caps low enough to be felt."""

    def metadata(writer):
        writer.add_sliding_window(24)
        writer.add_attn_logit_softcapping(2.0)
        writer.add_final_logit_softcapping(8.0)

    config = Gemma2Config(
        **SIZES,
        rope_parameters=rope("default"),
        sliding_window=24,
        query_pre_attn_scalar=32,
        attn_logit_softcapping=2.0,
        final_logit_softcapping=8.0,
    )
    return "gemma2", Gemma2ForCausalLM(config), metadata


def gemma3():
    """Every sixth layer sees all, and only that one is stretched."""

    def metadata(writer):
        writer.add_rope_freq_base(50000.0)
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(8.0)
        writer.add_sliding_window(24)

    parameters = {"full_attention": rope("linear", rope_theta=50000.0, factor=8.0), "sliding_attention": rope("default")}
    sizes = SIZES | {"num_hidden_layers": 6}
    config = Gemma3TextConfig(**sizes, rope_parameters=parameters, sliding_window=24, query_pre_attn_scalar=32)
    return "gemma3", Gemma3ForCausalLM(config), metadata


def mistral():
    def metadata(writer):
        writer.add_rope_freq_base(10000.0)
        writer.add_sliding_window(24)

    config = MistralConfig(**SIZES, rope_parameters=rope("default"), sliding_window=24, tie_word_embeddings=False)
    return "llama", MistralForCausalLM(config), metadata


def phi3():
    """Three quarters of a head turn, by one list of factors in texts of up to 96 tokens and by another in longer ones."""
    pairs, original = 12, 96
    short, long = [np.random.default_rng(seed).uniform(low, high, pairs).tolist() for seed, low, high in ((1, 0.8, 2), (2, 2, 8))]
    parameters = rope("longrope", short_factor=short, long_factor=long, original_max_position_embeddings=original)
    sizes = SIZES | {"hidden_size": 64}
    del sizes["head_dim"]
    config = Phi3Config(
        **sizes,
        rope_parameters=parameters | {"partial_rotary_factor": 0.75},
        original_max_position_embeddings=original,
        sliding_window=40,
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=0,
    )

    def metadata(writer):
        writer.add_rope_freq_base(10000.0)
        writer.add_rope_scaling_type(gguf.RopeScalingType.LONGROPE)
        writer.add_rope_scaling_orig_ctx_len(original)
        writer.add_rope_scaling_attn_factors(float(np.sqrt(1 + np.log(config.max_position_embeddings / original) / np.log(original))))
        writer.add_sliding_window(40)
        writer.add_tensor("rope_factors_short.weight", np.array(short, dtype=np.float32))
        writer.add_tensor("rope_factors_long.weight", np.array(long, dtype=np.float32))

    return "phi3", Phi3ForCausalLM(config), metadata


MODELS = {
    "llama": llama,
    "llama3": llama3,
    "llama-linear": llama_linear,
    "qwen2": qwen2,
    "qwen2-yarn": qwen2_yarn,
    "qwen3": qwen3,
    "gemma2": gemma2,
    "gemma3": gemma3,
    "mistral": mistral,
    "phi3": phi3,
}

# Entries that read another one's file for shorter texts.
SHORT = {"phi3": ("phi3-short", 96)}


def write_logits(name, model, tokens):
    rows = model(torch.tensor([tokens])).logits[0].double().log_softmax(-1)
    with open(os.path.join(FOLDER, f"{name}.logits"), "wb") as file:
        file.write(rows.numpy().astype("<f2").tobytes())
    entropy = -(rows.exp() * rows).sum(-1).mean()
    print(f"{name}: {entropy:.2f} nats of entropy, most likely {rows.exp().amax(-1).mean():.2f}")


@torch.inference_mode()
def main(wanted):
    os.makedirs(FOLDER, exist_ok=True)
    index = []
    for name, make in MODELS.items():
        random = np.random.default_rng(list(name.encode()))
        tokens = [int(token) for token in random.integers(0, VOCAB, LENGTH)]
        index.append({"name": name, "tokens": tokens})
        if name in SHORT:
            short, length = SHORT[name]
            index.append({"name": short, "file": name, "contextLength": length, "tokens": tokens[:length]})
        if wanted and name not in wanted:
            continue
        arch, model, metadata = make()
        model = model.eval().to(torch.float32)
        write(name, arch, model, random, metadata)
        write_logits(name, model, tokens)
        if name in SHORT:
            write_logits(short, model, tokens[:length])
    with open(os.path.join(FOLDER, "index.json"), "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in index) + "\n]\n")


if __name__ == "__main__":
    main(sys.argv[1:])

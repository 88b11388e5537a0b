"""Writes test/fixtures/smollm2-logits.{json,bin.gz}: what transformers predicts, in fp32, for every position of prose-and-code.txt.

    python test/reference/logits_reference.py path/to/smollm2-135m.gguf      (needs requirements.txt)

The weights are the file's own, de-quantised by the gguf package, so the only thing that an engine may do differently is
arithmetic. A row cannot be kept whole (49,152 numbers); kept are its KEPT most likely tokens and the probability of all others
together. KL(reference || engine) over these KEPT + 1 outcomes is a lower bound of the one over the vocabulary, because
merging outcomes never adds divergence. How close it comes is printed, for an engine that is simulated here: the
same model with the input of every matrix product rounded to int8 in blocks of 32, which also tells what that rounding costs.

The .bin holds, for each position: KEPT token ids (uint16), most likely first, and KEPT log-probabilities as
uint16 steps of -1/2048 nat; then, for all positions, the log-probability of the rest (float32). Little endian.
"""

import gzip
import json
import os
import re
import sys

import gguf
import numpy as np
import torch
from tokenizer_fixture import load_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURE = os.path.join(HERE, "..", "fixtures", "smollm2-logits")
SEGMENT = 256
KEPT = 128
STEPS = 2048  # of a nat
BLOCK = 32

LAYER_NAMES = {
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


def load_model(path):
    reader = gguf.GGUFReader(path)
    meta = {name: field.contents() for name, field in reader.fields.items() if name.startswith("llama.")}
    heads, kv_heads = meta["llama.attention.head_count"], meta["llama.attention.head_count_kv"]
    weights = {}
    for tensor in reader.tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        parts = tensor.name.split(".")
        if parts[0] == "blk":
            name = f"model.layers.{parts[1]}.{LAYER_NAMES[parts[2]]}.weight"
            if parts[2] == "attn_q":
                values = halves_apart(values, heads)
            if parts[2] == "attn_k":
                values = halves_apart(values, kv_heads)
        else:
            name = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}[parts[0]] + ".weight"
        weights[name] = torch.from_numpy(np.ascontiguousarray(values))
    config = LlamaConfig(
        vocab_size=weights["model.embed_tokens.weight"].shape[0],
        hidden_size=meta["llama.embedding_length"],
        intermediate_size=meta["llama.feed_forward_length"],
        num_hidden_layers=meta["llama.block_count"],
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=meta["llama.context_length"],
        rms_norm_eps=meta["llama.attention.layer_norm_rms_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": meta["llama.rope.freq_base"]},
        tie_word_embeddings="lm_head.weight" not in weights,
    )
    model = LlamaForCausalLM(config).eval().to(torch.float32)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    model.tie_weights()
    return model


def halves_apart(values, heads):
    """GGUF has the rows of a head so that neighbours (2i, 2i+1) turn together, transformers so that (i, i + half) do."""
    rows, columns = values.shape
    return values.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def read_segments(tokenizer):
    with open(os.path.join(HERE, "prose-and-code.txt"), encoding="utf-8") as file:
        parts = re.split(r"^=== (.*)\n", file.read(), flags=re.MULTILINE)[1:]
    segments = []
    for name, text in zip(parts[::2], parts[1::2], strict=True):
        tokens = tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
        assert len(tokens) >= SEGMENT, f"{name} has only {len(tokens)} tokens"
        segments.append({"name": name, "tokens": tokens[:SEGMENT]})
    return segments


@torch.inference_mode()
def log_probs(model, segments):
    rows = [model(torch.tensor([segment["tokens"]])).logits[0].double().log_softmax(-1) for segment in segments]
    return torch.cat(rows)


def round_inputs(model):
    """From here on every matrix product sees its input as int8: by block, scale = max / 127, half to even."""

    def hook(_, inputs):
        blocks = inputs[0].unflatten(-1, (-1, BLOCK))
        scale = blocks.abs().amax(-1, keepdim=True) / 127
        return ((blocks / scale.clamp(min=1e-30)).round() * scale).flatten(-2)

    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_pre_hook(hook)


def keep(rows):
    """The part of each row that goes into the file."""
    top, ids = rows.topk(KEPT)
    steps = (-top * STEPS).round().clamp(0, 65535)
    rest = (1 - top.exp().sum(-1)).clamp(min=1e-30).log()
    return ids, steps, rest


def merged_divergence(ids, steps, rest, rows):
    """KL over KEPT + 1 outcomes, from what is kept of the reference; rows are the engine's."""
    p = torch.cat([-steps / STEPS, rest[:, None]], -1).log_softmax(-1)
    top = rows.gather(-1, ids)
    q = torch.cat([top, (1 - top.exp().sum(-1)).clamp(min=1e-30).log()[:, None]], -1)
    return (p.exp() * (p - q)).sum(-1)


def main(path):
    tokenizer = load_tokenizer(path)
    model = load_model(path)
    segments = read_segments(tokenizer)

    prompt = tokenizer("The capital of France is", add_special_tokens=False, return_tensors="pt").input_ids
    print(repr(tokenizer.decode(model.generate(prompt, max_new_tokens=20, do_sample=False)[0])))

    reference = log_probs(model, segments)
    ids, steps, rest = keep(reference)
    said = torch.tensor([token for segment in segments for token in segment["tokens"][1:] + [0]])
    inside = torch.arange(len(said)) % SEGMENT != SEGMENT - 1
    loss = -reference.gather(-1, said[:, None])[inside].mean()
    print(f"{len(reference)} positions, {loss:.3f} nats a token, mean mass of the rest {rest.exp().mean():.4f}")

    round_inputs(model)
    rounded = log_probs(model, segments)
    full = (reference.exp() * (reference - rounded)).sum(-1)
    merged = merged_divergence(ids, steps, rest, rounded)
    agree = (rounded.argmax(-1) == ids[:, 0]).double().mean()
    print(f"int8 inputs: mean KL {full.mean():.6f} (merged {merged.mean():.6f}), largest {full.max():.4f}, top-1 {100 * agree:.2f} %")
    for i, segment in enumerate(segments):
        at = slice(i * SEGMENT, (i + 1) * SEGMENT)
        print(f"  {segment['name']}: KL {full[at].mean():.6f}, top-1 {100 * (rounded[at].argmax(-1) == ids[at, 0]).double().mean():.1f} %")

    header = {"vocabSize": reference.shape[1], "positions": len(reference), "kept": KEPT, "stepsPerNat": STEPS, "segments": segments}
    with open(FIXTURE + ".json", "w", encoding="utf-8") as file:
        json.dump(header, file, separators=(",", ":"))
        file.write("\n")
    table = torch.cat([ids, steps.long()], -1).numpy().astype("<u2")
    with open(FIXTURE + ".bin.gz", "wb") as file:
        file.write(gzip.compress(table.tobytes() + rest.numpy().astype("<f4").tobytes(), 9, mtime=0))
    print(f"{os.path.getsize(FIXTURE + '.bin.gz')} bytes")


if __name__ == "__main__":
    main(sys.argv[1])

"""Stage `export`: a checkpoint and its tokenizer as one GGUF file.

    python -m story.export --checkpoint data/tiny.pt.best --tokenizer data/tokenizer.json --out espalier-tiny.gguf --name espalier-tiny
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import gguf
import torch

from .model import SIZES
from .tokenizer import CONTROL, END, SEPARATOR

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def export(checkpoint: Path, tokenizer_path: Path, out: Path, name: str) -> None:
    saved = torch.load(checkpoint, map_location="cpu")
    config, weights = SIZES[saved["size"]], saved["exact"]
    tokenizer = json.loads(tokenizer_path.read_text())
    vocab = tokenizer["model"]["vocab"] | {entry["content"]: entry["id"] for entry in tokenizer["added_tokens"]}
    tokens = sorted(vocab, key=vocab.get)
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]]
    control = {entry["content"] for entry in tokenizer["added_tokens"]}
    if len(tokens) != config.vocab or tokens[: len(CONTROL)] != CONTROL:
        raise ValueError(f"the tokenizer has {len(tokens)} tokens, the model {config.vocab}")
    writer = gguf.GGUFWriter(str(out), "llama")
    writer.add_name(name)
    writer.add_description("Short stories in simple English, from the Espalier project")
    writer.add_license("apache-2.0")
    writer.add_languages(["en"])
    writer.add_size_label(f"{sum(w.numel() for w in weights.values()) / 1e6:.0f}M")
    writer.add_block_count(config.layers)
    writer.add_context_length(config.context)
    writer.add_embedding_length(config.hidden)
    writer.add_feed_forward_length(config.inner)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_rope_dimension_count(config.size)
    writer.add_rope_freq_base(config.rope_base)
    writer.add_layer_norm_rms_eps(config.eps)
    writer.add_vocab_size(config.vocab)
    if config.heads * config.size != config.hidden:
        writer.add_key_length(config.size)
        writer.add_value_length(config.size)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if token in control else gguf.TokenType.NORMAL for token in tokens])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(vocab["<|im_start|>"])
    writer.add_eos_token_id(END)
    writer.add_pad_token_id(SEPARATOR)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHAT_TEMPLATE)
    for tensor, value in weights.items():
        array = value.float().numpy()
        kind = gguf.GGMLQuantizationType.F32
        if array.ndim == 2:
            kind = gguf.GGMLQuantizationType.Q8_0 if tensor == "token_embd.weight" else gguf.GGMLQuantizationType.Q4_0
            array = gguf.quants.quantize(array, kind)
        writer.add_tensor(tensor, array, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"export: {out.name}, {out.stat().st_size / 1e6:.2f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="espalier-tiny")
    args = parser.parse_args()
    export(args.checkpoint, args.tokenizer, args.out, args.name)


if __name__ == "__main__":
    main()

"""The file of a head (see README.md here), and a small random target to try everything with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import torch

from story.export import CHAT_TEMPLATE

from .head import Head, HeadShape
from .target import Shape, Target

ARCHITECTURE = "espalier-eagle"
TYPES = {name: gguf.GGMLQuantizationType[name.upper()] for name in ("f32", "f16", "q8_0", "q4_1", "q4_0")}


@dataclass
class HeadFile:
    head: Head
    draft_vocab: torch.Tensor  # [rows of the output matrix]: the target's token of each
    trained_depths: int
    acceptance: list[float]
    text_rows: bool = False  # tokens of the text that are not in draft_vocab are guessed too, with the target's own rows of the output matrix

    def others(self, text: list[int]) -> torch.Tensor:
        """Those tokens, in the order of the text, whose first one has no row in a head."""
        own = set(self.draft_vocab.tolist())
        return torch.tensor([token for token in dict.fromkeys(text[1:]) if token not in own] if self.text_rows else [], dtype=torch.long)


def add_matrix(writer: gguf.GGUFWriter, name: str, value: torch.Tensor, kind: str) -> None:
    array = value.detach().float().cpu().numpy()
    if kind != "f32":
        array = gguf.quants.quantize(array, TYPES[kind])
    writer.add_tensor(name, array, raw_dtype=TYPES[kind])


def close(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_layer(writer: gguf.GGUFWriter, c: HeadShape | Shape) -> None:
    """The shape of a file's one layer."""
    writer.add_block_count(1)
    writer.add_embedding_length(c.hidden)
    writer.add_feed_forward_length(c.inner)
    writer.add_head_count(c.heads)
    writer.add_head_count_kv(c.kv_heads)
    writer.add_key_length(c.size)
    writer.add_layer_norm_rms_eps(c.eps)
    writer.add_rope_freq_base(c.rope_base)


def add_target(writer: gguf.GGUFWriter, a: str, target: Target) -> None:
    """What a file of architecture `a` was trained for."""
    s = target.shape
    writer.add_string(f"{a}.target.name", target.name)
    writer.add_uint32(f"{a}.target.block_count", s.layers)
    writer.add_uint32(f"{a}.target.embedding_length", s.hidden)
    writer.add_uint32(f"{a}.target.vocab_size", s.vocab)
    writer.add_string(f"{a}.target.tokens_sha256", target.tokens_sha256)


def values(reader: gguf.GGUFReader, architecture: str, target: Target | None) -> Callable[[str], Any]:
    """Reads keys of an `architecture`. Refuses other files, and with `target` those that were not trained for it."""
    value = lambda key: reader.fields[f"{architecture}.{key}"].contents()  # noqa: E731
    found = reader.fields["general.architecture"].contents()
    if found != architecture:
        raise ValueError(f"a file of architecture {architecture!r} is needed, not {found!r}")
    if target:
        s = target.shape
        theirs = [value(f"target.{key}") for key in ("block_count", "embedding_length", "vocab_size", "tokens_sha256")]
        if theirs != [s.layers, s.hidden, s.vocab, target.tokens_sha256]:
            raise ValueError(f"the file was trained for {value('target.name')!r}, not for {target.name!r}")
    return value


def window_of(reader: gguf.GGUFReader) -> int:
    """Positions that a row of the file's layer sees; 0: all."""
    field = reader.fields.get(f"{reader.fields['general.architecture'].contents()}.attention.sliding_window")
    return field.contents() if field else 0


def copy_keys(reader: gguf.GGUFReader, writer: gguf.GGUFWriter, changed: dict[str, Any]) -> None:
    """What a file says, but for the values of `changed`."""
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        inner = field.types[1] if len(field.types) > 1 else None
        writer.add_key_value(key, changed.get(key, field.contents()), field.types[0], inner)


def weights(reader: gguf.GGUFReader) -> dict[str, torch.Tensor]:
    """All tensors, de-quantised."""
    return {t.name: torch.from_numpy(gguf.quants.dequantize(t.data, t.tensor_type).copy()).float() for t in reader.tensors}


def write_head(path: Path, file: HeadFile, target: Target, name: str, layer: str = "q4_1", output: str = "q4_1") -> None:
    """Writes a head with the matrices of its layer and its output matrix in the block formats that are named."""
    c, a = file.head.shape, ARCHITECTURE
    writer = gguf.GGUFWriter(str(path), a)
    writer.add_name(name)
    writer.add_license("apache-2.0")
    writer.add_string(f"{a}.kind", c.kind)
    add_layer(writer, c)
    if c.window:
        writer.add_sliding_window(c.window)
    writer.add_array(f"{a}.taps", list(c.taps))
    writer.add_array(f"{a}.draft_vocab", file.draft_vocab.tolist())
    add_target(writer, a, target)
    writer.add_uint32(f"{a}.trained_depths", file.trained_depths)
    if file.text_rows:
        writer.add_bool(f"{a}.text_rows", True)
    writer.add_array(f"{a}.acceptance", [float(share) for share in file.acceptance])
    for tensor, value in file.head.state_dict().items():
        add_matrix(writer, tensor, value, "f32" if value.ndim == 1 else output if tensor == "output.weight" else layer)
    close(writer)


def read_head(path: Path, target: Target | None = None) -> HeadFile:
    """A head as the engine will run it, its matrices de-quantised. With `target`, refuses a head that does not fit it."""
    reader = gguf.GGUFReader(str(path))
    value = values(reader, ARCHITECTURE, target)
    shape = HeadShape(
        value("kind"), value("embedding_length"), value("feed_forward_length"), value("attention.head_count"),
        value("attention.head_count_kv"), value("attention.key_length"), value("rope.freq_base"),
        value("attention.layer_norm_rms_epsilon"), tuple(value("taps")), len(value("draft_vocab")), window_of(reader),
    )  # fmt: skip
    head = Head(shape).eval()
    head.load_state_dict(weights(reader))
    return HeadFile(head, torch.tensor(value("draft_vocab")), value("trained_depths"), value("acceptance"), f"{ARCHITECTURE}.text_rows" in reader.fields and value("text_rows"))


CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = "t h,th e,i n,a n,r e,o n,e r,a t,e n,n d,an d,o u,in g,e s,o r,i s,i t,a l,o f,t o,Ġ the,Ġ a,Ġ of,Ġ to".split(",")


def write_random_target(path: Path, seed: int = 1, layers: int = 8, hidden: int = 64, inner: int = 96, heads: int = 2, kv_heads: int = 1) -> None:
    """A llama model of random weights over bytes and a few merges, with a chat template: it runs, and says nothing of sense."""
    from tokenizers import pre_tokenizers

    torch.manual_seed(seed)
    size = hidden // heads
    tokens = CONTROL + sorted(pre_tokenizers.ByteLevel.alphabet()) + [merge.replace(" ", "") for merge in MERGES]
    tokens = list(dict.fromkeys(tokens))
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("espalier-random")
    writer.add_block_count(layers)
    writer.add_context_length(2048)
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(size)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if token in CONTROL else gguf.TokenType.NORMAL for token in tokens])
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHAT_TEMPLATE)
    draw = lambda rows, columns, scale=1.0: scale * columns**-0.5 * torch.randn(rows, columns)  # noqa: E731
    add_matrix(writer, "token_embd.weight", 3 * draw(len(tokens), hidden), "q8_0")
    add_matrix(writer, "output_norm.weight", 1 + 0.1 * torch.randn(hidden), "f32")
    for n in range(layers):
        width = {"attn_q": (heads * size, hidden), "attn_k": (kv_heads * size, hidden), "attn_v": (kv_heads * size, hidden), "attn_output": (hidden, heads * size)}
        width |= {"ffn_gate": (inner, hidden), "ffn_up": (inner, hidden), "ffn_down": (hidden, inner)}
        for tensor, (rows, columns) in width.items():
            add_matrix(writer, f"blk.{n}.{tensor}.weight", draw(rows, columns), "q8_0")
        for tensor in ("attn_norm", "ffn_norm"):
            add_matrix(writer, f"blk.{n}.{tensor}.weight", 1 + 0.1 * torch.randn(hidden), "f32")
    close(writer)

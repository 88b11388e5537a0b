"""The target: a GGUF model of architecture "llama" or "qwen2", frozen, with the states that a head looks at.

Weights are de-quantised, so texts and states are those of the quantised model. Rotation pairs neighbours (2i, 2i+1); files that pair
halves (qwen2) have the rows of their queries and keys put in that order when they are read, which changes no attention score.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import gguf
import torch
import torch.nn.functional as F

from story.kernels import Reference, rms_norm, rotate


@dataclass(frozen=True)
class Shape:
    layers: int
    hidden: int
    inner: int
    heads: int
    kv_heads: int
    size: int
    vocab: int
    rope_base: float
    eps: float


@dataclass(frozen=True)
class Layer:
    attn_norm: torch.Tensor  # [hidden]
    qkv: torch.Tensor  # [(heads + 2 kv heads) * size, hidden]
    qkv_bias: torch.Tensor | None
    out: torch.Tensor  # [hidden, heads * size]
    ffn_norm: torch.Tensor
    gate_up: torch.Tensor  # [2 inner, hidden]
    down: torch.Tensor  # [hidden, inner]


def neighbours(rows: torch.Tensor, size: int) -> torch.Tensor:
    """Rows of heads that pair (i, i + size/2), in the order that pairs (2i, 2i + 1)."""
    return rows.unflatten(0, (-1, 2, size // 2)).transpose(1, 2).flatten(0, 2)


def angles(positions: torch.Tensor, size: int, base: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines [positions, 1, size/2]."""
    angle = positions[:, None] * base ** (-torch.arange(0, size, 2, device=positions.device) / size)
    return angle.cos()[:, None], angle.sin()[:, None]


class Target:
    """On a GPU in bfloat16, on a CPU in float32."""

    def __init__(self, path: str, device: str = "cpu"):
        reader = gguf.GGUFReader(path)
        field = lambda key, default=None: reader.fields[key].contents() if key in reader.fields else default  # noqa: E731
        architecture = field("general.architecture")
        if architecture not in ("llama", "qwen2"):
            raise ValueError(f"{path} is of architecture {architecture!r}; llama and qwen2 are understood")
        value = lambda key, default=None: field(f"{architecture}.{key}", default)  # noqa: E731
        heads, hidden = value("attention.head_count"), value("embedding_length")
        tokens = field("tokenizer.ggml.tokens")
        self.path, self.name, self.template = path, field("general.name", ""), field("tokenizer.chat_template", "")
        self.tokens_sha256 = hashlib.sha256(b"".join(token.encode() + b"\0" for token in tokens)).hexdigest()
        self.shape = s = Shape(
            value("block_count"), hidden, value("feed_forward_length"), heads, value("attention.head_count_kv", heads),
            value("attention.key_length", hidden // heads), len(tokens), value("rope.freq_base", 10000.0),
            value("attention.layer_norm_rms_epsilon"),
        )  # fmt: skip
        self.device, self.dtype = device, torch.bfloat16 if device == "cuda" else torch.float32
        stored = {t.name: t for t in reader.tensors}
        self.bytes = {name: int(t.n_bytes) for name, t in stored.items()}  # of the file's tensors

        def exact(name: str) -> torch.Tensor | None:
            t = stored.get(name)
            return None if t is None else torch.from_numpy(gguf.quants.dequantize(t.data, t.tensor_type).copy()).float()

        def turned(name: str) -> torch.Tensor | None:
            rows = exact(name)
            return rows if rows is None or architecture == "llama" else neighbours(rows, s.size)

        put = lambda t: t.to(device, self.dtype).contiguous()  # noqa: E731
        self.embedding, self.norm = put(exact("token_embd.weight")), put(exact("output_norm.weight"))
        self.output = put(exact("output.weight")) if "output.weight" in stored else self.embedding
        self.layers = []
        for n in range(s.layers):
            p = f"blk.{n}."
            q, k, v = turned(p + "attn_q.weight"), turned(p + "attn_k.weight"), exact(p + "attn_v.weight")
            bias = None
            if p + "attn_q.bias" in stored:
                bias = put(torch.cat((turned(p + "attn_q.bias"), turned(p + "attn_k.bias"), exact(p + "attn_v.bias"))))
            self.layers.append(Layer(
                put(exact(p + "attn_norm.weight")), put(torch.cat((q, k, v))), bias, put(exact(p + "attn_output.weight")),
                put(exact(p + "ffn_norm.weight")), put(torch.cat((exact(p + "ffn_gate.weight"), exact(p + "ffn_up.weight")))),
                put(exact(p + "ffn_down.weight")),
            ))  # fmt: skip

    @torch.no_grad()
    def taps(self, tokens: torch.Tensor, wanted: tuple[int, ...]) -> list[torch.Tensor]:
        """The residual stream [batch, length, hidden] after each wanted number of layers, for texts [batch, length] padded on the right."""
        s, (batch, length) = self.shape, tokens.shape
        cos, sin = angles(torch.arange(length, device=tokens.device), s.size, s.rope_base)
        x, found = self.embedding[tokens], {}
        for n, layer in enumerate(self.layers):
            found[n] = x if n in wanted else None
            y = F.linear(rms_norm(x, layer.attn_norm, s.eps), layer.qkv, layer.qkv_bias).view(batch, length, -1, s.size)
            q, k, v = y.split((s.heads, s.kv_heads, s.kv_heads), 2)
            q, k, v = rotate(q, cos, sin).transpose(1, 2), rotate(k, cos, sin).transpose(1, 2), v.transpose(1, 2)
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True).transpose(1, 2).flatten(2)
            x = x + F.linear(y, layer.out)
            x = x + F.linear(Reference.silu_mul(F.linear(rms_norm(x, layer.ffn_norm, s.eps), layer.gate_up)), layer.down)
        found[s.layers] = x
        return [found[n] for n in wanted]

    def final(self, last: torch.Tensor) -> torch.Tensor:
        """What the output matrix reads: the last tap after the final norm."""
        return rms_norm(last, self.norm, self.shape.eps)

    def outputs(self, first: torch.Tensor) -> torch.Tensor:
        """The rows of the output matrix [vocab, hidden]: those of the tokens `first`, then all others."""
        rest = torch.ones(self.shape.vocab, dtype=torch.bool)
        rest[first] = False
        return self.output[torch.cat((first, rest.nonzero().flatten())).to(self.device)]


def default_taps(layers: int) -> tuple[int, int, int]:
    """States entering an early, the middle and a late layer."""
    return 2, layers // 2, layers - 3

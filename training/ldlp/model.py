"""The LDLP, exactly as README.md here defines it, and its file. Parameter names are those of the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gguf
import torch
import torch.nn.functional as F
from torch import nn

from eagle.files import add_matrix, close
from eagle.target import Target

ARCHITECTURE = "espalier-ldlp"


class Ldlp(nn.Module):
    """How many tokens of a draft will be accepted, from [embedding; hidden state after the final norm] of the last validated token."""

    def __init__(self, hidden: int, width: int):
        super().__init__()
        self.hidden, self.width = hidden, width
        self.add_module("in", nn.Linear(2 * hidden, width))
        self.blk = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.out = nn.Linear(width, 1)

    def forward(self, embedding: torch.Tensor, final: torch.Tensor) -> torch.Tensor:
        """[...] lengths, not rounded, of inputs [..., hidden]."""
        x = F.silu(self.get_submodule("in")(torch.cat((embedding, final), -1)))
        for layer in self.blk:
            x = x + F.silu(layer(x))
        return self.out(x)[..., 0]


@dataclass
class LdlpFile:
    model: Ldlp
    k_max: int
    penalty: float  # lambda
    head_sha256: str


def write_ldlp(path: Path, file: LdlpFile, target: Target, name: str, kind: str = "f16") -> None:
    """`kind` is that of the matrices: f16 or f32; biases are always f32."""
    s, a = target.shape, ARCHITECTURE
    writer = gguf.GGUFWriter(str(path), a)
    writer.add_name(name)
    writer.add_license("apache-2.0")
    writer.add_embedding_length(file.model.hidden)
    writer.add_uint32(f"{a}.width", file.model.width)
    writer.add_uint32(f"{a}.k_max", file.k_max)
    writer.add_float32(f"{a}.lambda", file.penalty)
    writer.add_string(f"{a}.target.name", target.name)
    writer.add_uint32(f"{a}.target.block_count", s.layers)
    writer.add_uint32(f"{a}.target.embedding_length", s.hidden)
    writer.add_uint32(f"{a}.target.vocab_size", s.vocab)
    writer.add_string(f"{a}.target.tokens_sha256", target.tokens_sha256)
    writer.add_string(f"{a}.head.sha256", file.head_sha256)
    for tensor, value in file.model.state_dict().items():
        add_matrix(writer, tensor, value, kind if value.ndim == 2 else "f32")
    close(writer)


def read_ldlp(path: Path) -> LdlpFile:
    reader = gguf.GGUFReader(str(path))
    value = lambda key: reader.fields[f"{ARCHITECTURE}.{key}"].contents()  # noqa: E731
    model = Ldlp(value("embedding_length"), value("width")).eval()
    shapes = {name: p.shape for name, p in model.state_dict().items()}
    model.load_state_dict({t.name: torch.from_numpy(gguf.quants.dequantize(t.data, t.tensor_type).copy()).float().view(shapes[t.name]) for t in reader.tensors})
    return LdlpFile(model, value("k_max"), value("lambda"), value("head.sha256"))

"""An exit block, exactly as README.md here defines it, and its file. Parameter names are those of the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gguf
import torch
from torch import nn

from eagle.files import add_layer, add_matrix, add_target, close, values, weights, window_of
from eagle.head import Layer, Norm
from eagle.target import Target

ARCHITECTURE = "espalier-exit"


class ExitBlock(nn.Module):
    """A decoder layer and a final norm, both of the target's shape."""

    def __init__(self, target: Target):
        super().__init__()
        self.blk = nn.ModuleList([Layer(target.shape)])
        self.output_norm = Norm(target.shape.hidden, target.shape.eps)
        self.window = 0  # positions that a row sees, its own the last of them; 0: all

    @torch.no_grad()
    def begin(self, target: Target) -> None:
        """First weights: those of the target's last layer and final norm. Biases, where it has them, are left out."""
        s, last, layer = target.shape, target.layers[-1], self.blk[0]
        q, k, v = last.qkv.split((s.heads * s.size, s.kv_heads * s.size, s.kv_heads * s.size))
        gate, up = last.gate_up.chunk(2)
        theirs = {
            "attn_norm": last.attn_norm, "attn_q": q, "attn_k": k, "attn_v": v, "attn_output": last.out,
            "ffn_norm": last.ffn_norm, "ffn_gate": gate, "ffn_up": up, "ffn_down": last.down,
        }  # fmt: skip
        for name, value in theirs.items():
            getattr(layer, name).weight.copy_(value)
        self.output_norm.weight.copy_(target.norm)

    def states(self, tap: torch.Tensor) -> torch.Tensor:
        """[batch, length, hidden] before the final norm, for the target's states [batch, length, hidden] of positions 0, 1, …"""
        layer = self.blk[0]
        positions = torch.arange(tap.shape[1], device=tap.device)
        q, k, v = layer.project(tap, positions)
        apart = positions[:, None] - positions
        seen = (apart >= 0) & (apart < self.window) if self.window else None
        return layer.leave(tap, layer.attend(q, k, v, seen))

    def forward(self, tap: torch.Tensor) -> torch.Tensor:
        """What the output matrix reads [batch, length, hidden]."""
        return self.output_norm(self.states(tap))


@dataclass
class ExitFile:
    block: ExitBlock
    exit_layer: int
    draft_vocab: torch.Tensor  # the target's tokens that it can guess, by falling frequency
    acceptance: list[float]
    bytes: int = 0  # of its tensors, where it was read from a file


def write_exit(path: Path, file: ExitFile, target: Target, name: str, layer: str = "q4_1") -> None:
    """Writes a block with its matrices in the format `layer`."""
    writer = gguf.GGUFWriter(str(path), ARCHITECTURE)
    writer.add_name(name)
    writer.add_license("apache-2.0")
    add_layer(writer, target.shape)
    if file.block.window:
        writer.add_sliding_window(file.block.window)
    writer.add_uint32(f"{ARCHITECTURE}.exit_layer", file.exit_layer)
    writer.add_array(f"{ARCHITECTURE}.draft_vocab", file.draft_vocab.tolist())
    add_target(writer, ARCHITECTURE, target)
    writer.add_array(f"{ARCHITECTURE}.acceptance", [float(share) for share in file.acceptance])
    for tensor, value in file.block.state_dict().items():
        add_matrix(writer, tensor, value, "f32" if value.ndim == 1 else layer)
    close(writer)


def read_exit(path: Path, target: Target) -> ExitFile:
    """A block as the engine will run it, its matrices de-quantised. Refuses one that was not trained for `target`."""
    reader = gguf.GGUFReader(str(path))
    value = values(reader, ARCHITECTURE, target)
    block = ExitBlock(target).eval()
    block.load_state_dict(weights(reader))
    block.window = window_of(reader)
    size = sum(int(t.n_bytes) for t in reader.tensors)
    return ExitFile(block, value("exit_layer"), torch.tensor(value("draft_vocab")), value("acceptance"), size)

"""The numbers that a GGUF block format can hold, so that the last part of training already uses what will be exported.

Gradients pass straight through: they are taken at the rounded weights and given to the exact ones.
"""

from __future__ import annotations

import torch


def q4_0(x: torch.Tensor) -> torch.Tensor:
    """Blocks of 32 as (q - 8) d, q in 0..15; the largest magnitude of a block becomes q = 0."""
    blocks = x.float().reshape(-1, 32)
    peak = blocks.gather(1, blocks.abs().argmax(1, keepdim=True))
    scale = peak / -8
    inverse = torch.where(scale == 0, 0.0, 1 / scale)
    q = (blocks * inverse + 8.5).trunc().clamp(0, 15)
    return ((q - 8) * scale.half().float()).reshape(x.shape)


def q4_1(x: torch.Tensor) -> torch.Tensor:
    """Blocks of 32 as q d + m, q in 0..15, from the least to the greatest value of a block."""
    blocks = x.float().reshape(-1, 32)
    least = blocks.amin(1, keepdim=True)
    scale = (blocks.amax(1, keepdim=True) - least) / 15
    inverse = torch.where(scale == 0, 0.0, 1 / scale)
    q = ((blocks - least) * inverse + 0.5).trunc().clamp(0, 15)
    return (q * scale.half().float() + least.half().float()).reshape(x.shape)


def q8_0(x: torch.Tensor) -> torch.Tensor:
    """Blocks of 32 as q d, q in -127..127; halves round away from zero, as `gguf` does."""
    blocks = x.float().reshape(-1, 32)
    scale = blocks.abs().amax(1, keepdim=True) / 127
    inverse = torch.where(scale == 0, 0.0, 1 / scale)
    y = blocks * inverse
    q = y.sign() * (y.abs() + 0.5).floor()
    return (q * scale.half().float()).reshape(x.shape)


def stored(name: str, x: torch.Tensor) -> torch.Tensor:
    """What the exported file will hold of parameter `name`: layers in 4 bit, the embedding in 8, norms exact."""
    if x.ndim < 2:
        return x
    return q8_0(x) if name == "token_embd.weight" else q4_0(x)

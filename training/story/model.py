"""The student: a Llama decoder with a tied head, in GGUF's own layout (rotation pairs neighbours), so export permutes nothing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from .kernels import rotate


@dataclass(frozen=True)
class Config:
    layers: int
    hidden: int
    inner: int
    heads: int
    kv_heads: int
    vocab: int = 4096
    context: int = 1024
    size: int = 64
    rope_base: float = 10000.0
    eps: float = 1e-5


SIZES = {
    "tiny": Config(layers=8, hidden=512, inner=1536, heads=8, kv_heads=4),  # 27 M
    "draft": Config(layers=3, hidden=192, inner=512, heads=3, kv_heads=1),  # 2 M
    "smoke": Config(layers=2, hidden=64, inner=128, heads=1, kv_heads=1),
}


class Norm(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(config.hidden)), config.eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


class Layer(nn.Module):
    """Parameter names are GGUF's."""

    def __init__(self, c: Config):
        super().__init__()
        linear = lambda rows, columns: nn.Linear(columns, rows, bias=False)  # noqa: E731
        self.attn_norm, self.ffn_norm, self.config = Norm(c), Norm(c), c
        self.attn_q, self.attn_output = linear(c.heads * c.size, c.hidden), linear(c.hidden, c.heads * c.size)
        self.attn_k, self.attn_v = linear(c.kv_heads * c.size, c.hidden), linear(c.kv_heads * c.size, c.hidden)
        self.ffn_gate, self.ffn_up, self.ffn_down = linear(c.inner, c.hidden), linear(c.inner, c.hidden), linear(c.hidden, c.inner)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        c, (batch, length, _) = self.config, x.shape
        y = self.attn_norm(x)
        q, k, v = (matrix(y).view(batch, length, -1, c.size) for matrix in (self.attn_q, self.attn_k, self.attn_v))
        q, k, v = rotate(q, cos, sin).transpose(1, 2), rotate(k, cos, sin).transpose(1, 2), v.transpose(1, 2)
        k, v = (t.repeat_interleave(c.heads // c.kv_heads, 1) for t in (k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attn_output(y.transpose(1, 2).reshape(batch, length, -1))
        y = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(y)) * self.ffn_up(y))


class Llama(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.token_embd = nn.Embedding(config.vocab, config.hidden)
        self.blk = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.output_norm = Norm(config)
        angle = torch.arange(config.context)[:, None] * config.rope_base ** (-torch.arange(0, config.size, 2) / config.size)
        self.register_buffer("cos", angle.cos()[:, None], persistent=False)
        self.register_buffer("sin", angle.sin()[:, None], persistent=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                deviation = 0.02 / (2 * config.layers) ** 0.5 if name.endswith(("attn_output.weight", "ffn_down.weight")) else 0.02
                nn.init.normal_(parameter, std=deviation)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.token_embd(tokens)
        cos, sin = self.cos[: tokens.shape[1]], self.sin[: tokens.shape[1]]
        for layer in self.blk:
            x = layer(x, cos, sin)
        return F.linear(self.output_norm(x), self.token_embd.weight)

    def loss(self, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean nats a learnt token; targets of -100 do not count."""
        return F.cross_entropy(self(tokens).float().flatten(0, 1), targets.flatten(), ignore_index=-100)

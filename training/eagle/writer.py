"""The target writes: many texts at once, each in a slot of one static cache."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from story import kernels
from story.kernels import rms_norm, rotate

from .target import Target, angles

GREEDY = 1e-5  # a temperature at which fp32 logits that differ at all leave no choice


def in_float32(x: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """x times the transposed matrix, not rounded to the type of the two."""
    return torch.mm(x, matrix.T, out_dtype=torch.float32) if x.is_cuda else F.linear(x, matrix).float()


class Writer:
    """`slots` texts of up to `length` tokens. `text[slot, : position + 1]` is what stands. A slot that is done stands still until `prefill`."""

    def __init__(self, target: Target, slots: int, length: int, stops: list[int]):
        self.target, self.slots, self.length = target, slots, length
        s, device = target.shape, target.device
        cos, sin = angles(torch.arange(length), s.size, s.rope_base)
        self.cos, self.sin = (t[:, 0].to(device).contiguous() for t in (cos, sin))
        cache = lambda: torch.zeros(s.layers, slots, s.kv_heads, length, s.size, dtype=target.dtype, device=device)  # noqa: E731
        self.keys, self.values = cache(), cache()
        integers = lambda *size: torch.zeros(*size, dtype=torch.int32, device=device)  # noqa: E731
        self.token, self.position, self.last, self.text = integers(slots), integers(slots), integers(slots), integers(slots, length)
        self.step_number = integers(1)
        self.done = torch.ones(slots, dtype=torch.bool, device=device)
        self.temperature = torch.ones(slots, device=device)
        self.row = torch.arange(slots, device=device)
        self.stop = torch.zeros(s.vocab, dtype=torch.bool)
        self.stop[stops] = True
        self.stop = self.stop.to(device)
        self.ops, self.graph = kernels.Reference, None

    @torch.inference_mode()
    def prefill(self, slots: torch.Tensor, tokens: torch.Tensor, lengths: torch.Tensor, temperature: torch.Tensor, most: torch.Tensor) -> None:
        """Starts `slots` on prompts `tokens` [n, width], padded on the right, to write at most `most` tokens each."""
        s, width = self.target.shape, tokens.shape[1]
        x = self.target.embedding[tokens]
        cos, sin = self.cos[:width, None], self.sin[:width, None]
        for n, layer in enumerate(self.target.layers):
            y = F.linear(rms_norm(x, layer.attn_norm, s.eps), layer.qkv, layer.qkv_bias).view(len(tokens), width, -1, s.size)
            q, k, v = y.split((s.heads, s.kv_heads, s.kv_heads), 2)
            q, k, v = rotate(q, cos, sin).transpose(1, 2), rotate(k, cos, sin).transpose(1, 2), v.transpose(1, 2)
            self.keys[n, slots, :, :width] = k
            self.values[n, slots, :, :width] = v
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True).transpose(1, 2).flatten(2)
            x = x + F.linear(y, layer.out)
            x = x + F.linear(kernels.Reference.silu_mul(F.linear(rms_norm(x, layer.ffn_norm, s.eps), layer.gate_up)), layer.down)
        self.text[slots, :width] = tokens.int()
        self.temperature[slots] = temperature
        self.position[slots] = lengths.int() - 1  # the last token of a prompt goes through `step` again
        self.token[slots] = self.text[slots, lengths - 1]
        self.last[slots] = (lengths + most - 1).clamp(max=self.length - 1).int()
        self.done[slots] = False

    def _step(self) -> None:
        t, s, ops = self.target, self.target.shape, self.ops
        x = t.embedding[self.token]
        for n, layer in enumerate(t.layers):
            qkv = F.linear(rms_norm(x, layer.attn_norm, s.eps), layer.qkv, layer.qkv_bias)
            q = ops.rope_store(qkv, self.position, self.cos, self.sin, self.keys[n], self.values[n], s.heads)
            x = torch.addmm(x, ops.attend(q, self.position, self.keys[n], self.values[n]), layer.out.T)
            x = torch.addmm(x, ops.silu_mul(F.linear(rms_norm(x, layer.ffn_norm, s.eps), layer.gate_up)), layer.down.T)
        drawn = ops.sample(in_float32(t.final(x), t.output), self.temperature, 1e-9, self.step_number)
        self.step_number += 1
        live = ~self.done
        following = (self.position + 1).clamp(max=self.length - 1)
        self.text[self.row, following] = torch.where(live, drawn, self.text[self.row, following])
        self.token.copy_(torch.where(live, drawn, self.token))
        self.position.copy_(torch.where(live, following, self.position))
        self.done |= self.stop[drawn] | (following >= self.last)

    @torch.inference_mode()
    def step(self) -> None:
        self.graph.replay() if self.graph else self._step()

    @torch.inference_mode()
    def capture(self) -> str:
        """On a GPU: fused kernels if they agree with the references, and one CUDA graph a step. Says what is used."""
        if self.target.device != "cuda":
            return "references"
        used = "references"
        if kernels.triton is not None:
            try:
                kernels.check(self.target.shape, min(self.slots, 64), self.cos, self.sin, self.target.dtype)
                self.ops, used = kernels.Fused, "fused kernels"
            except Exception as error:  # any failure of the compiler or the check: the slow way still works
                print(f"writer: fused kernels are not used: {error!r}", flush=True)
        for _ in range(3):
            self._step()
        torch.cuda.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self._step()
        self.done.fill_(True)
        return used + ", CUDA graph"

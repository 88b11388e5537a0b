"""The four operations of a decode step that plain PyTorch does badly, as Triton kernels, each beside its plain reference.

A *slot* is a row of the batch with its own key-value cache; rotation pairs neighbours (2i, 2i+1), as GGUF files of the
"llama" architecture expect. Caches are [slots, kv heads, positions, head size].
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

try:
    import triton
    import triton.language as tl
except ImportError:  # a machine without Triton uses the references
    triton = None


WINDOW = 256  # tokens back in which repeats are seen
MATCH = 5  # a sixth token that repeats the five before it is penalised


def rms_norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    return F.rms_norm(x, (x.shape[-1],), weight, eps)


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """x [..., heads, size]; cos, sin [..., 1, size/2]."""
    even, odd = x[..., 0::2].float(), x[..., 1::2].float()
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2).to(x.dtype)


class Reference:
    """Plain PyTorch; runs anywhere."""

    @staticmethod
    def rope_store(qkv, position, cos, sin, keys, values, heads):
        """Rotates queries and keys, stores keys and values at each slot's position, returns queries [slots, heads, size]."""
        kv_heads, size = keys.shape[1], keys.shape[3]
        q, k, v = qkv.view(len(qkv), heads + 2 * kv_heads, size).split((heads, kv_heads, kv_heads), 1)
        c, s = cos[position].unsqueeze(1), sin[position].unsqueeze(1)
        slot = torch.arange(len(qkv), device=qkv.device)
        keys[slot, :, position] = rotate(k, c, s)
        values[slot, :, position] = v
        return rotate(q, c, s).contiguous()

    @staticmethod
    def attend(q, position, keys, values):
        mask = torch.arange(keys.shape[2], device=q.device) <= position[:, None]
        out = F.scaled_dot_product_attention(q.unsqueeze(2), keys, values, mask[:, None, None, :], enable_gqa=True)
        return out.reshape(len(q), -1)

    @staticmethod
    def silu_mul(gate_up):
        gate, up = gate_up.chunk(2, -1)
        return F.silu(gate) * up

    @staticmethod
    def penalise(logits, text, position, presence, repeat):
        """In place: `presence` off every token of the last WINDOW, `repeat` off one that would repeat MATCH + 1 in a row."""
        at = position[:, None] - torch.arange(WINDOW, device=logits.device)
        back = lambda n: text.gather(1, (at - n).clamp(min=0).long())  # noqa: E731
        last = lambda n: text.gather(1, (position[:, None] - n).clamp(min=0).long())  # noqa: E731
        token = back(0).long()
        loop = at >= MATCH
        for n in range(MATCH):
            loop = loop & (back(n + 1) == last(n))
        old = logits.gather(1, token)
        logits.scatter_(1, token, old - presence)
        logits.scatter_reduce_(1, token, torch.where(loop, old - repeat, torch.inf), "amin")

    @staticmethod
    def sample(logits, temperature, min_p, step):
        """A token a row from softmax(logits / temperature), without those less likely than min_p times the likeliest."""
        scaled = logits.float() / temperature[:, None]
        scaled = scaled.masked_fill(scaled < scaled.amax(-1, keepdim=True) + math.log(min_p), -torch.inf)
        return (scaled - torch.empty_like(scaled).exponential_().log()).argmax(-1).to(torch.int32)


if triton is not None:

    @triton.jit
    def _rope_store(qkv, position, cos, sin, q_out, keys, values, HEADS: tl.constexpr, KV: tl.constexpr, SIZE: tl.constexpr, LENGTH: tl.constexpr):
        slot, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
        pos = tl.load(position + slot)
        half = tl.arange(0, SIZE // 2)
        row = qkv + (slot * (HEADS + 2 * KV) + head) * SIZE
        even, odd = tl.load(row + 2 * half).to(tl.float32), tl.load(row + 2 * half + 1).to(tl.float32)
        if head < HEADS + KV:
            c, s = tl.load(cos + pos * (SIZE // 2) + half), tl.load(sin + pos * (SIZE // 2) + half)
            even, odd = even * c - odd * s, even * s + odd * c
        if head < HEADS:
            out = q_out + (slot * HEADS + head) * SIZE
        elif head < HEADS + KV:
            out = keys + ((slot * KV + head - HEADS) * LENGTH + pos) * SIZE
        else:
            out = values + ((slot * KV + head - HEADS - KV) * LENGTH + pos) * SIZE
        tl.store(out + 2 * half, even.to(out.dtype.element_ty))
        tl.store(out + 2 * half + 1, odd.to(out.dtype.element_ty))

    @triton.jit
    def _attend(q, position, keys, values, out, scale, GROUP: tl.constexpr, KV: tl.constexpr, SIZE: tl.constexpr, LENGTH: tl.constexpr, BLOCK: tl.constexpr):
        slot, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
        pos = tl.load(position + slot)
        row, dim, col = tl.arange(0, 16), tl.arange(0, SIZE), tl.arange(0, BLOCK)
        real = (row < GROUP)[:, None]
        at = ((slot * KV + head) * GROUP + row)[:, None] * SIZE + dim[None, :]
        query = tl.load(q + at, mask=real, other=0.0)
        base = (slot * KV + head) * LENGTH * SIZE
        highest = tl.full((16,), -1.0e30, tl.float32)
        total = tl.zeros((16,), tl.float32)
        acc = tl.zeros((16, SIZE), tl.float32)
        for start in range(0, pos + 1, BLOCK):
            inside = start + col <= pos
            place = base + (start + col)[:, None] * SIZE + dim[None, :]
            k = tl.load(keys + place, mask=inside[:, None], other=0.0)
            v = tl.load(values + place, mask=inside[:, None], other=0.0)
            score = tl.where(inside[None, :], tl.dot(query, tl.trans(k)) * scale, -1.0e30)
            peak = tl.maximum(highest, tl.max(score, 1))
            weight = tl.exp(score - peak[:, None])
            shrink = tl.exp(highest - peak)
            total = total * shrink + tl.sum(weight, 1)
            acc = acc * shrink[:, None] + tl.dot(weight.to(v.dtype), v)
            highest = peak
        tl.store(out + at, (acc / total[:, None]).to(out.dtype.element_ty), mask=real)

    @triton.jit
    def _silu_mul(gate_up, out, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
        row, col = tl.program_id(0).to(tl.int64), tl.arange(0, BLOCK)
        inside = col < WIDTH
        gate = tl.load(gate_up + row * 2 * WIDTH + col, mask=inside, other=0.0).to(tl.float32)
        up = tl.load(gate_up + row * 2 * WIDTH + WIDTH + col, mask=inside, other=0.0).to(tl.float32)
        tl.store(out + row * WIDTH + col, (gate * tl.sigmoid(gate) * up).to(out.dtype.element_ty), mask=inside)

    @triton.jit
    def _penalise(logits, text, position, presence, repeat, VOCAB: tl.constexpr, LENGTH: tl.constexpr, WINDOW: tl.constexpr, MATCH: tl.constexpr):
        row = tl.program_id(0).to(tl.int64)
        pos = tl.load(position + row)
        at = pos - tl.arange(0, WINDOW)
        inside = at >= 0
        token = tl.load(text + row * LENGTH + at, mask=inside, other=0)
        loop = at >= MATCH
        for n in range(MATCH):
            before = tl.load(text + row * LENGTH + at - n - 1, mask=at > n, other=-1)
            loop = loop & (before == tl.load(text + row * LENGTH + tl.maximum(pos - n, 0)))
        place = logits + row * VOCAB + token
        old = tl.load(place, mask=inside, other=0.0).to(tl.float32)
        tl.debug_barrier()
        tl.store(place, (old - presence).to(logits.dtype.element_ty), mask=inside)
        tl.debug_barrier()
        tl.store(place, (old - repeat).to(logits.dtype.element_ty), mask=inside & loop)

    @triton.jit
    def _sample(logits, temperature, out, step, log_min_p, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
        row, col = tl.program_id(0).to(tl.int64), tl.arange(0, BLOCK)
        inverse = 1.0 / tl.load(temperature + row)
        seed = tl.load(step)
        peak = tl.full((BLOCK,), -1.0e30, tl.float32)
        for start in range(0, WIDTH, BLOCK):
            x = tl.load(logits + row * WIDTH + start + col, mask=start + col < WIDTH, other=-1.0e30).to(tl.float32)
            peak = tl.maximum(peak, x)
        floor = tl.max(peak, 0) * inverse + log_min_p
        best = tl.full((BLOCK,), -1.0e30, tl.float32)
        token = tl.zeros((BLOCK,), tl.int32)
        for start in range(0, WIDTH, BLOCK):
            x = tl.load(logits + row * WIDTH + start + col, mask=start + col < WIDTH, other=-1.0e30).to(tl.float32) * inverse
            noise = tl.rand(seed, row.to(tl.int32) * WIDTH + start + col)
            value = tl.where(x >= floor, x - tl.log(-tl.log(tl.maximum(noise, 1.0e-9))), -1.0e30)
            token = tl.where(value > best, start + col, token)
            best = tl.maximum(best, value)
        tl.store(out + row, tl.sum(tl.where(tl.argmax(best, 0) == col, token, 0), 0))

    class Fused:
        """The same on a GPU: one launch each, bf16."""

        @staticmethod
        def rope_store(qkv, position, cos, sin, keys, values, heads):
            slots, (_, kv_heads, length, size) = len(qkv), keys.shape
            q = torch.empty(slots, heads, size, dtype=qkv.dtype, device=qkv.device)
            _rope_store[(slots, heads + 2 * kv_heads)](qkv, position, cos, sin, q, keys, values, heads, kv_heads, size, length, num_warps=1)
            return q

        @staticmethod
        def attend(q, position, keys, values):
            slots, heads, size = q.shape
            kv_heads, length = keys.shape[1:3]
            out = torch.empty(slots, heads * size, dtype=q.dtype, device=q.device)
            _attend[(slots, kv_heads)](q, position, keys, values, out, size**-0.5, heads // kv_heads, kv_heads, size, length, 64, num_warps=4)
            return out

        @staticmethod
        def silu_mul(gate_up):
            slots, width = len(gate_up), gate_up.shape[1] // 2
            out = torch.empty(slots, width, dtype=gate_up.dtype, device=gate_up.device)
            _silu_mul[(slots,)](gate_up, out, width, triton.next_power_of_2(width), num_warps=4)
            return out

        @staticmethod
        def penalise(logits, text, position, presence, repeat):
            _penalise[(len(logits),)](logits, text, position, presence, repeat, logits.shape[1], text.shape[1], WINDOW, MATCH, num_warps=4)

        @staticmethod
        def sample(logits, temperature, min_p, step):
            out = torch.empty(len(logits), dtype=torch.int32, device=logits.device)
            _sample[(len(logits),)](logits, temperature, out, step, math.log(min_p), logits.shape[1], 2048, num_warps=8)
            return out


def check(shape, slots: int, cos: torch.Tensor, sin: torch.Tensor, dtype: torch.dtype) -> None:
    """Fused kernels against the references on random input: raises ArithmeticError. Angles are those of all positions [positions, size/2]."""
    s, n, length, device, fused, plain = shape, slots, len(cos), cos.device, Fused, Reference
    draw = lambda *size: torch.randn(*size, device=device).to(dtype)  # noqa: E731
    caches = [draw(n, s.kv_heads, length, s.size) for _ in range(2)]
    others = [cache.clone() for cache in caches]
    position = torch.randint(0, length, (n,), dtype=torch.int32, device=device)
    qkv, gate_up = draw(n, (s.heads + 2 * s.kv_heads) * s.size), draw(n, 2 * s.inner)
    q = fused.rope_store(qkv, position, cos, sin, *caches, s.heads)
    p = plain.rope_store(qkv, position, cos, sin, *others, s.heads)
    pairs = {"queries": (q, p), "keys": (caches[0], others[0]), "values": (caches[1], others[1])}
    pairs["attention"] = fused.attend(q, position, *caches), plain.attend(p, position, *others)
    pairs["silu"] = fused.silu_mul(gate_up), plain.silu_mul(gate_up)
    for name, (a, b) in pairs.items():
        error = ((a.float() - b.float()).norm() / b.float().norm()).item()
        if not error < 1e-2:
            raise ArithmeticError(f"{name} differ by {error}")
    text = torch.randint(0, 3, (n, length), dtype=torch.int32, device=device)
    logits = draw(n, s.vocab)
    other = logits.clone()
    fused.penalise(logits, text, position, 0.5, 4.0)
    plain.penalise(other, text, position, 0.5, 4.0)
    if not torch.allclose(logits.float(), other.float(), atol=0.05):
        raise ArithmeticError("penalties differ")
    logits = torch.full((n, s.vocab), -20.0, device=device).to(dtype)
    logits[:, 7], logits[:, s.vocab - 3] = 5.0, 5.0
    one, step = torch.ones(n, device=device), torch.zeros(1, dtype=torch.int32, device=device)
    token = fused.sample(logits, one, 0.05, step)
    if not set(token.tolist()) <= {7, s.vocab - 3} or (n >= 32 and len(set(token.tolist())) != 2):
        raise ArithmeticError(f"sampled {token.tolist()}")

"""The draft head, exactly as README.md here defines it. Parameter names are those of the file."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from story.kernels import rotate

from .target import Shape, Target, angles, default_taps


NEVER = -1e30  # a log-probability; finite, so that none of it is 0


@dataclass(frozen=True)
class HeadShape:
    kind: str  # "eagle-1" or "eagle-fused"
    hidden: int
    inner: int
    heads: int
    kv_heads: int
    size: int
    rope_base: float
    eps: float
    taps: tuple[int, ...]
    vocab: int  # rows of the output matrix
    window: int = 0  # positions that a row sees, its own the last of them; 0: all


def shape_for(target: Target, kind: str, inner: int, vocab: int) -> HeadShape:
    s = target.shape
    taps = default_taps(s.layers) if kind == "eagle-fused" else (s.layers,)
    return HeadShape(kind, s.hidden, inner, s.heads, s.kv_heads, s.size, s.rope_base, s.eps, taps, vocab)


class Norm(nn.Module):
    def __init__(self, width: int, eps: float):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), self.eps)


class Layer(nn.Module):
    """A decoder layer as in Llama files, without biases."""

    def __init__(self, c: HeadShape | Shape):
        super().__init__()
        self.size, self.rope_base = c.size, c.rope_base
        linear = lambda rows, columns: nn.Linear(columns, rows, bias=False)  # noqa: E731
        self.attn_norm, self.ffn_norm = Norm(c.hidden, c.eps), Norm(c.hidden, c.eps)
        self.attn_q, self.attn_output = linear(c.heads * c.size, c.hidden), linear(c.hidden, c.heads * c.size)
        self.attn_k, self.attn_v = linear(c.kv_heads * c.size, c.hidden), linear(c.kv_heads * c.size, c.hidden)
        self.ffn_gate, self.ffn_up, self.ffn_down = linear(c.inner, c.hidden), linear(c.inner, c.hidden), linear(c.hidden, c.inner)

    def project(self, u: torch.Tensor, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys and values [batch, rows, heads, size] of rows at `positions` [rows], turned."""
        y = self.attn_norm(u)
        q, k, v = (matrix(y).unflatten(-1, (-1, self.size)) for matrix in (self.attn_q, self.attn_k, self.attn_v))
        cos, sin = angles(positions, self.size, self.rope_base)
        return rotate(q, cos, sin), rotate(k, cos, sin), v

    def leave(self, u: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """The state [batch, rows, hidden], from what the rows attended to [batch, rows, heads * size]."""
        a = u + self.attn_output(attended)
        y = self.ffn_norm(a)
        return a + self.ffn_down(F.silu(self.ffn_gate(y)) * self.ffn_up(y))

    def attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, seen: torch.Tensor | None = None) -> torch.Tensor:
        """[batch, rows, heads * size] of queries over keys and values [batch, rows, heads, size]: where `seen` [rows, keys] says so, or causal."""
        group = q.shape[2] // k.shape[2]
        q, k, v = (t.transpose(1, 2) for t in (q, k.repeat_interleave(group, 2), v.repeat_interleave(group, 2)))
        mask = None if seen is None else seen[None, None].expand(len(q), 1, -1, -1)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=seen is None).transpose(1, 2).flatten(2)


@dataclass
class Rows:
    """Rows that have been through the layer. Keys are turned by their positions."""

    state: torch.Tensor  # [batch, rows, hidden], before the final norm
    keys: torch.Tensor  # [batch, rows, kv heads, size]
    values: torch.Tensor


class Head(nn.Module):
    def __init__(self, shape: HeadShape):
        super().__init__()
        self.shape = c = shape
        linear = lambda rows, columns: nn.Linear(columns, rows, bias=False)  # noqa: E731
        if c.kind == "eagle-fused":
            self.fuse_norm = nn.ParameterDict({"weight": nn.Parameter(torch.ones(len(c.taps) * c.hidden))})
            self.fuse = linear(c.hidden, len(c.taps) * c.hidden)
        self.embd_norm, self.feature_norm = Norm(c.hidden, c.eps), Norm(c.hidden, c.eps)
        self.fc = linear(c.hidden, 2 * c.hidden)
        self.blk = nn.ModuleList([Layer(c)])
        self.output_norm, self.output = Norm(c.hidden, c.eps), linear(c.vocab, c.hidden)

    @torch.no_grad()
    def begin(self, target: Target, draft_vocab: torch.Tensor) -> None:
        """First weights: features pass through, the layer adds little, and the output is the target's."""
        c = self.shape
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02 if not name.endswith(("attn_output.weight", "ffn_down.weight")) else 0.005)
        if c.kind == "eagle-fused":
            self.fuse.weight[:, -c.hidden :] += torch.eye(c.hidden)
        self.fc.weight[:, c.hidden :] += torch.eye(c.hidden)
        self.output.weight.copy_(target.output[draft_vocab.to(target.output.device)])
        self.output_norm.weight.copy_(target.norm)
        if c.kind == "eagle-1":
            self.feature_norm.weight.copy_(target.norm)

    @torch.no_grad()
    def begin_with(self, other: Head, its_vocab: torch.Tensor, draft_vocab: torch.Tensor) -> None:
        """Weights of a head of the same shape, on top of `begin`: tokens that it has no row for keep the target's."""
        place = {token: row for row, token in enumerate(its_vocab.tolist())}
        pairs = torch.tensor([(row, place[token]) for row, token in enumerate(draft_vocab.tolist()) if token in place])
        for (name, mine), theirs in zip(self.named_parameters(), other.parameters(), strict=True):
            if name != "output.weight":
                mine.copy_(theirs)
        self.output.weight[pairs[:, 0]] = other.output.weight[pairs[:, 1]]

    def feature(self, taps: list[torch.Tensor]) -> torch.Tensor:
        """The target's feature g of committed positions, from its taps [batch, length, hidden]."""
        c = self.shape
        if c.kind == "eagle-1":
            return taps[0]
        weights = self.fuse_norm["weight"].to(taps[0].dtype).chunk(len(taps))
        normed = [F.rms_norm(tap, (c.hidden,), weight, c.eps) for tap, weight in zip(taps, weights, strict=True)]
        return self.fuse(torch.cat(normed, -1))

    def enter(self, embedded: torch.Tensor, feature: torch.Tensor, noise: float = 0.0) -> torch.Tensor:
        """The layer's input u [batch, rows, hidden]. `noise` is the width of uniform noise on normed features, for training."""
        normed = self.feature_norm(feature)
        if noise:
            normed = normed + self.feature_norm.weight.to(normed.dtype) * noise * (torch.rand_like(normed) * 2 - 1)
        return self.fc(torch.cat((self.embd_norm(embedded), normed), -1))

    def near(self, positions: torch.Tensor, committed: int) -> torch.Tensor:
        """Which of the `committed` rows lie in the window of rows at `positions` [rows]: [rows, committed]."""
        apart = positions[:, None] - torch.arange(committed, device=positions.device)
        return apart < self.shape.window if self.shape.window else torch.ones_like(apart, dtype=torch.bool)

    def follow(self, embedded: torch.Tensor, feature: torch.Tensor, positions: torch.Tensor, past: list[Rows], noise: float = 0.0) -> Rows:
        """One more row of as many chains as there are committed rows: chain r drafts behind committed row r.

        Without `past`, the committed rows themselves, causal. Else past[0] are the committed rows and past[d] the chains' rows of depth d:
        row r sees committed rows up to r, its own chain and itself. There may be chains behind the last committed rows alone.
        """
        layer, u = self.blk[0], self.enter(embedded, feature, noise)
        q, k, v = layer.project(u, positions)
        seen = None
        if past:
            own, committed = torch.eye(q.shape[1], dtype=torch.bool, device=q.device), past[0].keys.shape[1]
            before = torch.ones(q.shape[1], committed, dtype=torch.bool, device=q.device).tril(committed - q.shape[1])
            seen = torch.cat([before & self.near(positions, committed), *[own] * len(past)], 1)
        elif self.shape.window:
            seen = self.near(positions, q.shape[1]).tril()
        keys, values = (torch.cat([getattr(rows, name) for rows in past] + [own], 1) for name, own in (("keys", k), ("values", v)))
        return Rows(layer.leave(u, layer.attend(q, keys, values, seen)), k, v)

    def rows(self, embedded: torch.Tensor, feature: torch.Tensor, positions: torch.Tensor, committed: Rows, seen: torch.Tensor, own: Rows | None) -> Rows:
        """Drafted rows [batch, rows, hidden] of any trees at `positions` [rows].

        Row r sees the committed rows where `seen` [rows, committed] says so, its ancestors `own` (keys and values [batch, rows,
        ancestors, kv heads, size]) and itself.
        """
        layer, u = self.blk[0], self.enter(embedded, feature)
        q, k, v = layer.project(u, positions)
        keys, values = k.unsqueeze(2), v.unsqueeze(2)
        if own is not None:
            keys, values = torch.cat((own.keys, keys), 2), torch.cat((own.values, values), 2)
        q = q.unflatten(2, (k.shape[2], -1))
        scores = torch.einsum("bmkgd,bpkd->bkgmp", q, committed.keys).masked_fill(~(seen & self.near(positions, committed.keys.shape[1])), float("-inf"))
        scores = torch.cat((scores, torch.einsum("bmkgd,bmokd->bkgmo", q, keys)), -1) * self.shape.size**-0.5
        before, after = scores.float().softmax(-1).to(q.dtype).split((committed.keys.shape[1], keys.shape[2]), -1)
        y = torch.einsum("bkgmp,bpkd->bmkgd", before, committed.values) + torch.einsum("bkgmo,bmokd->bmkgd", after, values)
        return Rows(layer.leave(u, y.flatten(2)), k, v)

    def guess(self, state: torch.Tensor, others: torch.Tensor | None = None, known: torch.Tensor | None = None) -> torch.Tensor:
        """Log-probabilities over the draft vocabulary, fp32; and behind it over more tokens, whose rows of the target's output matrix are
        `others` [tokens, hidden], where `known` [rows, tokens] says so: NEVER elsewhere."""
        y = self.output_norm(state)
        logits = self.output(y).float()
        if others is not None:
            more = F.linear(y, others).float()
            logits = torch.cat((logits, more if known is None else more.masked_fill(~known, NEVER)), -1)
        return logits.log_softmax(-1)

"""Two small draft heads as EAGLE heads are published, for the random target of test/fixtures/heads, and what they compute:

    PYTHONPATH=training python test/reference/published_heads.py test/fixtures/heads

FOLDER/published-1 and FOLDER/published-3 are in the layouts of the first EAGLE and of EAGLE-3; beside each stands a JSON file in the
form that `eagle.export --random` writes. Every row is computed with the whole text before it, as in the papers, without a cache.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from eagle.export import rounded
from eagle.target import Target, default_taps
from safetensors.torch import save_file

HEADS, KV_HEADS, SIZE, INNER, BASE, EPS = 2, 1, 32, 96, 10000.0, 1e-5
BRANCHES, BEST = (3, 2, 1), 8


def norm(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return x * (x.square().mean(-1, keepdim=True) + EPS).rsqrt() * weight


def turn(x: torch.Tensor) -> torch.Tensor:
    """Rotates heads [rows, heads, size], whose halves are pairs, by their rows."""
    angle = torch.arange(len(x))[:, None] * BASE ** (-torch.arange(0, SIZE, 2) / SIZE)
    cos, sin = (torch.cat((f(angle), f(angle)), -1)[:, None] for f in (torch.cos, torch.sin))
    return x * cos + torch.cat((-x[..., SIZE // 2 :], x[..., : SIZE // 2]), -1) * sin


def layer(w: dict, prefix: str, seen: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
    """A decoder layer, causal over rows: attention reads `seen` and adds to `residual`."""
    weight = lambda name: w[f"{prefix}.{name}.weight"]  # noqa: E731
    bias = lambda name: w.get(f"{prefix}.self_attn.{name}.bias")  # noqa: E731
    q, k, v = (F.linear(seen, weight(f"self_attn.{n}"), bias(n)).view(len(seen), -1, SIZE) for n in ("q_proj", "k_proj", "v_proj"))
    q, k = turn(q), turn(k)
    k, v = (t.repeat_interleave(HEADS // KV_HEADS, 1) for t in (k, v))
    scores = torch.einsum("ihd,jhd->hij", q, k) * SIZE**-0.5
    scores = scores.masked_fill(torch.ones(len(seen), len(seen)).triu(1).bool(), float("-inf"))
    mixed = torch.einsum("hij,jhd->ihd", scores.softmax(-1), v).flatten(1)
    x = residual + F.linear(mixed, weight("self_attn.o_proj"))
    y = norm(x, weight("post_attention_layernorm"))
    return x + F.linear(F.silu(F.linear(y, weight("mlp.gate_proj"))) * F.linear(y, weight("mlp.up_proj")), weight("mlp.down_proj"))


class First:
    """EAGLE-1: features are states behind the target's final norm, and so are the head's own states."""

    name, architecture = "published-1", "LlamaForCausalLM"

    def __init__(self, target: Target):
        s = target.shape
        self.target, self.vocab, self.taps = target, torch.arange(s.vocab), (s.layers,)
        self.weights = random_layer("layers.0", s.hidden, s.hidden, biased=True) | {
            "embed_tokens.weight": target.embedding, "fc.weight": 0.5 * draw(s.hidden, 2 * s.hidden), "fc.bias": 0.1 * torch.randn(s.hidden),
        }  # fmt: skip

    def feature(self, taps: list[torch.Tensor]) -> torch.Tensor:
        return self.target.final(taps[0])

    def states(self, w: dict, embedded: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        x = F.linear(torch.cat((embedded, features), -1), w["fc.weight"], w["fc.bias"])
        return layer(w, "layers.0", x, x)

    def logits(self, w: dict, state: torch.Tensor) -> torch.Tensor:
        return F.linear(state, self.target.output)


class Third:
    """EAGLE-3: attention reads token and feature side by side, and adds to the feature."""

    name, architecture = "published-3", "LlamaForCausalLMEagle3"

    def __init__(self, target: Target):
        s = target.shape
        self.target, self.taps = target, default_taps(s.layers)
        self.vocab = torch.randperm(s.vocab)[:120].sort().values
        self.weights = random_layer("midlayer", s.hidden, 2 * s.hidden) | {
            "fc.weight": draw(s.hidden, 3 * s.hidden), "norm.weight": near_one(s.hidden), "lm_head.weight": 3 * draw(len(self.vocab), s.hidden),
            "midlayer.input_layernorm.weight": near_one(s.hidden), "midlayer.hidden_norm.weight": near_one(s.hidden),
            "d2t": self.vocab - torch.arange(len(self.vocab)), "t2d": torch.isin(torch.arange(s.vocab), self.vocab),
        }  # fmt: skip

    def feature(self, taps: list[torch.Tensor]) -> torch.Tensor:
        return F.linear(torch.cat(taps, -1), self.weights["fc.weight"].half().float())

    def states(self, w: dict, embedded: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        seen = torch.cat((norm(embedded, w["midlayer.input_layernorm.weight"]), norm(features, w["midlayer.hidden_norm.weight"])), -1)
        return layer(w, "midlayer", seen, features)

    def logits(self, w: dict, state: torch.Tensor) -> torch.Tensor:
        return F.linear(norm(state, w["norm.weight"]), w["lm_head.weight"])


def draw(rows: int, columns: int) -> torch.Tensor:
    return columns**-0.5 * torch.randn(rows, columns)


def near_one(size: int) -> torch.Tensor:
    return 1 + 0.2 * torch.randn(size)


def random_layer(prefix: str, hidden: int, seen: int, biased: bool = False) -> dict:
    rows = {"q_proj": HEADS * SIZE, "k_proj": KV_HEADS * SIZE, "v_proj": KV_HEADS * SIZE}
    weights = {f"{prefix}.self_attn.{name}.weight": draw(size, seen) for name, size in rows.items()}
    if biased:
        weights |= {f"{prefix}.self_attn.{name}.bias": 0.3 * torch.randn(size) for name, size in rows.items()}
    return weights | {
        f"{prefix}.self_attn.o_proj.weight": draw(hidden, HEADS * SIZE), f"{prefix}.post_attention_layernorm.weight": near_one(hidden),
        f"{prefix}.mlp.gate_proj.weight": draw(INNER, hidden), f"{prefix}.mlp.up_proj.weight": draw(INNER, hidden),
        f"{prefix}.mlp.down_proj.weight": draw(hidden, INNER),
    }  # fmt: skip


def compute(head: First | Third, tokens: list[int]) -> dict:
    target, text = head.target, torch.tensor([tokens])
    # As the file has them.
    w = {name: value.half().float() if value.is_floating_point() else value for name, value in head.weights.items()}
    taps = [tap[0] for tap in target.taps(text[:, :-1], head.taps)]
    features = head.feature(taps)
    committed = head.states(w, target.embedding[text[0, 1:]], features)
    nodes: list[dict] = []

    def add(token: int, parent: int, depth: int, state: torch.Tensor) -> None:
        top = head.logits(w, state).log_softmax(-1).topk(BEST)
        nodes.append({
            "token": token, "parent": parent, "depth": depth, "state": state.tolist(),
            "topTokens": head.vocab[top.indices].tolist(), "topLogProbs": top.values.tolist(),
        })  # fmt: skip

    add(tokens[-1], -1, 0, committed[-1])
    for index, node in enumerate(nodes):  # grows while it is walked: a breadth-first tree
        for token in node["topTokens"][: BRANCHES[node["depth"]]] if node["depth"] < len(BRANCHES) else []:
            path, at = [token], index
            states = [torch.tensor(node["state"])]
            while at > 0:
                path, at = [nodes[at]["token"], *path], nodes[at]["parent"]
                states = [torch.tensor(nodes[at]["state"]), *states]
            embedded = target.embedding[torch.tensor([*tokens[1:], *path])]
            add(token, index, node["depth"] + 1, head.states(w, embedded, torch.cat((features, torch.stack(states))))[-1])
    named = {str(number): tap.tolist() for number, tap in zip(head.taps, taps, strict=True)}
    return {"tokens": tokens, "taps": named, "rows": committed.tolist(), "nodes": nodes}


def main() -> None:
    folder = Path(sys.argv[1])
    target = Target(str(folder / "target.gguf"))
    s = target.shape
    for seed, kind in enumerate((First, Third)):
        torch.manual_seed(seed)
        head = kind(target)
        to = folder / head.name
        to.mkdir(exist_ok=True)
        stored = {name: value.half() if value.is_floating_point() else value for name, value in head.weights.items()}
        save_file({name: value.contiguous() for name, value in stored.items()}, to / "model.safetensors")
        config = {
            "architectures": [head.architecture], "model_type": "llama", "hidden_act": "silu", "hidden_size": s.hidden, "intermediate_size": INNER,
            "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "num_hidden_layers": 1, "rms_norm_eps": EPS, "rope_theta": BASE,
            "vocab_size": s.vocab, "draft_vocab_size": len(head.vocab), "torch_dtype": "float16",
        }  # fmt: skip
        (to / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        tokens = torch.randint(3, s.vocab, (13,)).tolist()
        (folder / f"{head.name}.json").write_text(json.dumps(rounded(compute(head, tokens))) + "\n")


if __name__ == "__main__":
    with torch.no_grad():
        main()

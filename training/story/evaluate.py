"""Stage `evaluate`: the bars of the embedded model.

    python -m story.evaluate --answers answers.jsonl --stories stories.jsonl --model espalier-tiny.gguf --teacher smollm2-135m.gguf

`--answers` are greedy answers of the engine to held-out requests (`questions`, `scripts/answer.mjs`): does the text loop (more than 20 % of
its runs of eight words occurred before), does it end by itself, are character and object in its last third? `--stories` are held-out
stories, as `filter` writes them or the engine wrote them by script: bits per byte given their requests, by way of `transformers`, of the
model and of its teacher; of whole stories, and of what the teacher wrote between the sentences of the script.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from .filter import fault, known_words, last_third, repeated, tidy
from .render import ask
from .requests import Request, draw
from .teacher import read_gguf, read_tokenizer

NAMES = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
}  # fmt: skip


def as_transformers(path: str) -> LlamaForCausalLM:
    """A GGUF file of the "llama" architecture in float32, queries and keys put back in the order that `transformers` rotates."""
    shape, weights = read_gguf(path)
    config = LlamaConfig(
        vocab_size=shape.vocab, hidden_size=shape.hidden, intermediate_size=shape.inner, num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads, num_key_value_heads=shape.kv_heads, head_dim=shape.size, rms_norm_eps=shape.eps,
        rope_theta=shape.rope_base, tie_word_embeddings=True, max_position_embeddings=2048,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    state = {"model.embed_tokens.weight": weights["token_embd.weight"], "lm_head.weight": weights["token_embd.weight"]}
    state["model.norm.weight"] = weights["output_norm.weight"]
    for layer in range(shape.layers):
        for ours, theirs in NAMES.items():
            weight = weights[f"blk.{layer}.{ours}.weight"]
            if ours in ("attn_q", "attn_k"):
                weight = weight.view(-1, shape.size // 2, 2, shape.hidden).transpose(1, 2).reshape(weight.shape)
            state[f"model.layers.{layer}.{theirs}.weight"] = weight
    model.load_state_dict(state)
    return model


def prompt(request: str) -> str:
    return f"<|im_start|>user\n{request}<|im_end|>\n<|im_start|>assistant\n"


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def judge(row: dict) -> dict:
    """One answer against the bars."""
    text, end = row["text"], last_third(row["text"])
    keeps = row["name"].lower() in end and row["object"] in end
    return {"loops": repeated(text, 8) > 0.2, "ended": row["ended"], "keeps": keeps, "words": len(text.split())}


def clean(path: Path, seed: int, common: set[str]) -> list[tuple[Request, str]]:
    """Stories that `filter` would keep."""
    found = []
    for row in rows(path):
        r = draw(seed, row["index"])
        text = tidy(row["text"], r.form)
        if r.form == "story" and row.get("ended", True) and not fault(text, r, np.zeros(0, np.uint64), common):
            found.append((r, text))
    return found


def free(r: Request, text: str) -> np.ndarray:
    """For every character: did the teacher write it, and not the script?"""
    own, at = np.ones(len(text), bool), 0
    for part in r.parts:
        given = tidy(part.text, r.form)
        begin = text.find(given, at)
        if begin >= 0:
            at = begin + len(given)
            own[begin:at] = False
    return own


@torch.inference_mode()
def bits_per_byte(model, tokenizer, stories: list[tuple[Request, str]]) -> dict[str, float]:
    """Of stories with their end tokens, given their requests; and of the teacher's part of them."""
    end, nats, size = tokenizer.token_to_id("<|im_end|>"), np.zeros(2), np.zeros(2)
    for r, text in stories:
        before, told = tokenizer.encode(prompt(ask(r, text, random.Random(r.index)))).ids, tokenizer.encode(text)
        after = [*told.ids, end]
        logits = model(torch.tensor([before + after])).logits[0, len(before) - 1 : -1].float()
        losses = torch.nn.functional.cross_entropy(logits, torch.tensor(after), reduction="none").numpy()
        own = free(r, text)
        # A token belongs to whom its last character does.
        teachers = np.array([own[stop - 1] for _, stop in told.offsets])
        nats += losses.sum(), losses[:-1][teachers].sum()
        size += len(text), own.sum()
    whole, between = nats / math.log(2) / size
    return {"stories": whole, "between": between}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=Path, required=True)
    parser.add_argument("--stories", type=Path)
    parser.add_argument("--seed", type=int, default=1, help="with which the stories' requests were drawn")
    parser.add_argument("--count", type=int, default=200, help="stories at most")
    parser.add_argument("--model", help="GGUF file whose bits per byte are measured")
    parser.add_argument("--teacher", help="GGUF file to compare with")
    args = parser.parse_args()
    torch.set_num_threads(2)
    judged = [judge(row) for row in rows(args.answers)]
    figures: dict = {"answers": len(judged)} | {key: sum(row[key] for row in judged) / len(judged) for key in judged[0]}
    if args.stories:
        stories = clean(args.stories, args.seed, known_words(read_tokenizer(args.teacher or args.model)))[: args.count]
        figures["kept_stories"] = len(stories)
        for key, path in (("bits_per_byte", args.model), ("teacher_bits_per_byte", args.teacher)):
            if path:
                figures[key] = bits_per_byte(as_transformers(path), read_tokenizer(path), stories)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()

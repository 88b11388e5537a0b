"""Stage `evaluate`: the bars of the embedded model, measured on its GGUF file by way of `transformers`, not by our own code.

    python -m story.evaluate --model espalier-tiny.gguf --held-out data/heldout.jsonl --teacher SmolLM2-135M-Instruct.Q4_1.gguf

Greedy answers to held-out requests that name a character and an object: does the text loop (more than 20 % of its runs of eight words
occurred before), does it end by itself, are character and object in its last third? And bits per byte of held-out stories, given their
requests, beside the teacher's.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from .filter import last_third, repeated
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


@torch.inference_mode()
def answer(model, tokenizer, requests: list[str], limit: int) -> list[tuple[str, bool]]:
    """Greedy texts, and whether each ended by itself."""
    end, results = tokenizer.token_to_id("<|im_end|>"), []
    for begin in range(0, len(requests), 25):
        ids = [tokenizer.encode(prompt(request)).ids for request in requests[begin : begin + 25]]
        width = max(map(len, ids))
        tokens = torch.tensor([[end] * (width - len(row)) + row for row in ids])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in ids])
        out = model.generate(tokens, attention_mask=mask, max_new_tokens=limit, do_sample=False, eos_token_id=end, pad_token_id=end)
        for row in out[:, width:].tolist():
            ended = end in row
            results.append((tokenizer.decode(row[: row.index(end)] if ended else row, skip_special_tokens=False), ended))
    return results


@torch.inference_mode()
def bits_per_byte(model, tokenizer, pairs: list[tuple[str, str]]) -> float:
    """Of the second texts given the first ones, each with its end token."""
    end, nats, size = tokenizer.token_to_id("<|im_end|>"), 0.0, 0
    for request, text in pairs:
        before, after = tokenizer.encode(prompt(request)).ids, [*tokenizer.encode(text).ids, end]
        logits = model(torch.tensor([before + after])).logits[0, len(before) - 1 : -1].float()
        nats += torch.nn.functional.cross_entropy(logits, torch.tensor(after), reduction="sum").item()
        size += len(text.encode())
    return nats / math.log(2) / size


def told(path: Path, seed: int, count: int) -> list[tuple[Request, str, str]]:
    """(request, words of the request, story) of held-out stories that keep their object to the end."""
    found = []
    for line in path.read_text().splitlines():
        record = json.loads(line)
        r, (role, text) = draw(seed, record["index"]), record["turns"][-1]
        plain = [role for role, _ in record["turns"]] == ["user", "assistant"] and record["turns"][0][1].count("\n") == 0
        if plain and r.form == "story" and text.startswith(r.parts[0].text) and r.object in last_third(text):
            found.append((r, ask(r, text, random.Random(record["index"])), text))
    return found[:count]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--held-out", type=Path, required=True)
    parser.add_argument("--teacher", help="GGUF file to compare bits per byte with")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--limit", type=int, default=700, help="tokens at most")
    parser.add_argument("--out", type=Path, help="answers and figures as JSON")
    args = parser.parse_args()
    torch.set_num_threads(2)
    model, tokenizer = as_transformers(args.model), read_tokenizer(args.model)
    stories = told(args.held_out, args.seed, args.requests)
    answers = answer(model, tokenizer, [request for _, request, _ in stories], args.limit)
    rows = []
    for (r, request, _), (text, ended) in zip(stories, answers, strict=True):
        keeps = r.name.lower() in last_third(text) and r.object in last_third(text)
        rows.append({"request": request, "text": text, "ended": ended, "loops": repeated(text, 8) > 0.2, "keeps": keeps, "words": len(text.split())})
    share = lambda key: sum(row[key] for row in rows) / max(len(rows), 1)  # noqa: E731
    figures = {"requests": len(rows), "loops": share("loops"), "ended": share("ended"), "keeps": share("keeps"), "words": share("words")}
    pairs = [(request, text) for _, request, text in stories]
    figures["bits_per_byte"] = bits_per_byte(model, tokenizer, pairs)
    if args.teacher:
        figures["teacher_bits_per_byte"] = bits_per_byte(as_transformers(args.teacher), read_tokenizer(args.teacher), pairs)
    print(json.dumps(figures, indent=2))
    if args.out:
        args.out.write_text(json.dumps({"figures": figures, "answers": rows}, indent=1))


if __name__ == "__main__":
    main()

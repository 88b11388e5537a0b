"""Stage `polish`: the trained model learns from the best of its own stories, so that greedy text repeats itself less.

    python -m story.polish --model espalier-tiny.gguf --out polished --seconds 100 --train-seconds 60

Rejection sampling (as in STaR, arXiv:2203.14465, and RAFT, arXiv:2304.06767): the model answers requests several times at a temperature,
`filter.fault` and tighter bounds on repetition throw most answers out, and what is left is learnt at a low rate. The request is worded anew for
learning, in more ways than the story was asked for, so free wordings are understood too. A small draft model (`--draft`) then learns
the distribution of the polished one on its stories.
"""

from __future__ import annotations

import argparse
import copy
import json
import multiprocessing
import os
import random
import re
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from . import words
from .export import export
from .filter import SENTENCE, fault, known_words, last_third, repeated
from .kernels import rotate
from .model import SIZES, Llama
from .quantise import stored
from .render import ask, held_out
from .requests import Request, article, draw
from .teacher import read_gguf, read_tokenizer
from .tokenizer import END, SEPARATOR

SEED = 3
MANY = 4  # answers to a request in one batch

WORDINGS = [
    "I'd love a {mood}bedtime story with {who} and {what}.",
    "{mood}bedtime story: {who}, {what}",
    "tell me a story about {bare} and {what}",
    "Tell me about {n} the {kind} and {what}.",
    "Please tell me what happened to {n} the {kind} and {what}.",
    "Could you write something about {who} who finds {what}?",
    "Write a {mood}story about {who} who finds {what}.",
    "Write a {mood}story about {who} who loses {what}.",
    "Write a {mood}tale of {who} and {what}{place}.",
    "A {mood}tale of {who} and {what}, please",
    "story about {who} with {what}",
    "My daughter wants to hear about {who} and {what}.",
    "Write a {mood}children's story. It has {who} and {what} in it.",
    "Make me smile with a story about {who} and {what}!",
    "Can you write about {bare} called {n} and {what}{place}?",
    "Write about {n}, {a_kind}, and {what}.",
    "Once there was {who}. Tell me about {n} and {what}.",
    "I want a {mood}story. The hero is {who}, and there is {what}{place}.",
    "Give me a {mood}story with {bare} named {n} and {what}.",
    "What happens when {who} finds {what}{place}?",
]


def worded(r: Request, text: str, rng: random.Random) -> str:
    """A request that `text` fulfils, half of them in the words that the model knows from its first training."""
    if rng.random() < 0.4 or r.object not in last_third(text):
        return ask(r, text, rng)
    thing = f"{r.object_trait} {r.object}".strip() if r.object_trait in text and rng.random() < 0.5 else r.object
    kind = f"{r.trait} {r.kind}" if r.trait in text and rng.random() < 0.4 else r.kind
    called = rng.choice(("named", "called"))
    told = rng.choice(WORDINGS).format(
        who=f"{article(kind)} {called} {r.name}", bare=article(kind), a_kind=article(kind), kind=r.kind, n=r.name, what=article(thing),
        place=f" {r.place}" if r.place in text.lower() and rng.random() < 0.5 else "", mood=rng.choice(("", "", "short ")),
    )  # fmt: skip
    told = re.sub(r"\ba(?= [aeiou])", "an", told)
    if rng.random() < 0.2:
        told = told.lower() if rng.random() < 0.5 else told.rstrip(".")
    return told


def load(path: Path, size: str, device: str) -> Llama:
    model = Llama(SIZES[size])
    _, weights = read_gguf(str(path))
    model.load_state_dict(weights)
    return model.to(device)


def fill(model: Llama, weights: dict[str, torch.Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(stored(name, weights[name]))


@torch.inference_mode()
def answers(model: Llama, prompts: list[list[int]], limit: int, temperature: float, generator: torch.Generator) -> torch.Tensor:
    """Tokens [n, longest prompt + limit]: prompts and what follows them; END repeated after the end. Temperature 0 is greedy."""
    c, device, n = model.config, model.token_embd.weight.device, len(prompts)
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
    width = int(lengths.max()) + limit
    tokens = torch.full((n, width), END, device=device)
    for i, prompt in enumerate(prompts):
        tokens[i, : len(prompt)] = torch.tensor(prompt, device=device)
    kind = model.token_embd.weight.dtype
    keys, values = (torch.zeros(c.layers, n, c.kv_heads, width, c.size, dtype=kind, device=device) for _ in range(2))
    done = torch.zeros(n, dtype=torch.bool, device=device)
    group = c.heads // c.kv_heads
    for at in range(width - 1):
        x = model.token_embd(tokens[:, at : at + 1])
        cos, sin = model.cos[at : at + 1], model.sin[at : at + 1]
        for i, layer in enumerate(model.blk):
            y = layer.attn_norm(x)
            q, k, v = (matrix(y).view(n, 1, -1, c.size) for matrix in (layer.attn_q, layer.attn_k, layer.attn_v))
            keys[i, :, :, at], values[i, :, :, at] = rotate(k, cos, sin)[:, 0], v[:, 0]
            q = rotate(q, cos, sin).view(n, c.kv_heads, group, c.size)
            y = F.scaled_dot_product_attention(q, keys[i, :, :, : at + 1], values[i, :, :, : at + 1])
            x = x + layer.attn_output(y.reshape(n, 1, -1))
            y = layer.ffn_norm(x)
            x = x + layer.ffn_down(F.silu(layer.ffn_gate(y)) * layer.ffn_up(y))
        logits = F.linear(model.output_norm(x[:, 0]), model.token_embd.weight).float()
        if temperature:
            chosen = torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator)[:, 0]
        else:
            chosen = logits.argmax(-1)
        free = at + 1 >= lengths
        tokens[:, at + 1] = torch.where(free, torch.where(done, END, chosen), tokens[:, at + 1])
        done |= free & (chosen == END)
        if at % 16 == 0 and bool(done.all()):
            break
    return tokens


def ended_text(tokenizer, row: list[int], begin: int) -> str:
    """The answer that begins at `begin`, or "" when it does not end."""
    return tokenizer.decode(row[begin : row.index(END, begin)], skip_special_tokens=False) if END in row[begin:] else ""


def weak(text: str, index: int, common: set[str]) -> str:
    """Why a story, told on request `index`, is not learnt from, or ""."""
    if not text:
        return "no end"
    r = draw(SEED, index)
    reason = fault(text, r, np.zeros(0, np.uint64), common)
    if reason:
        return reason
    if r.object not in last_third(text):
        return "object lost"
    if repeated(text, 6) > 0.01 or repeated(text, 3) > 0.12:
        return "repeats"
    openings = [" ".join(s.lower().split()[:3]) for s in SENTENCE.split(text) if len(s.split()) > 3]
    return "repeats" if openings and max(map(openings.count, openings)) > 2 else ""


def chat(tokenizer, request: str) -> list[int]:
    return tokenizer.encode(f"<|im_start|>user\n{request}<|im_end|>\n<|im_start|>assistant\n").ids


def collect(model: Llama, tokenizer, seconds: float, batch: int, limit: int, temperature: float, first: int, most: int) -> tuple[list[tuple[Request, str]], list[list[int]], dict]:
    """Stories to learn from, one a request; all token rows, for a draft model; and counts."""
    common = known_words(tokenizer)
    device = model.token_embd.weight.device
    generator = torch.Generator(device).manual_seed(first + 1)
    began, index, kept, rows, reasons = time.time(), first, [], [], {}
    workers = multiprocessing.get_context("fork").Pool(max(1, (os.cpu_count() or 2) - 2))
    while time.time() - began < seconds and index - first < most:
        asked: list[Request] = []
        while len(asked) < batch // MANY:
            r = draw(SEED, index)
            index += 1
            if r.form == "story" and not held_out(index):
                asked.append(r)
        rng = random.Random(index)
        # As if a story kept everything: the request then names everything.
        prompts = [chat(tokenizer, ask(r, f"{r.trait} {r.object_trait} {r.object} {r.place} " + "word " * rng.choice((60, 120, 180, 260)) + r.object, rng)) for r in asked]
        prompts = [prompt for prompt in prompts for _ in range(MANY)]
        tokens = answers(model, prompts, limit, temperature, generator).tolist()
        texts = [ended_text(tokenizer, row, len(prompt)) for row, prompt in zip(tokens, prompts, strict=True)]
        judged = workers.starmap(weak, [(text, asked[j // MANY].index, common) for j, text in enumerate(texts)], chunksize=32)
        for i, r in enumerate(asked):
            of_r = range(i * MANY, (i + 1) * MANY)
            for j in of_r:
                reasons[judged[j] or "good"] = reasons.get(judged[j] or "good", 0) + 1
            good = [texts[j] for j in of_r if not judged[j]]
            if good:
                kept.append((r, min(good, key=lambda text: repeated(text, 2))))
            if texts[i * MANY]:
                row = tokens[i * MANY]
                rows.append(row[: row.index(END, len(prompts[i * MANY])) + 1])
    workers.terminate()
    return kept, rows, {"requests": index - first, "kept": len(kept), **reasons}


def batches(rows: list[tuple[list[int], int]], size: int, rng: random.Random, device):
    """(tokens, targets) of about equally long rows; (row, first index that is learnt)."""
    order = sorted(range(len(rows)), key=lambda i: (len(rows[i][0]) + rng.random() * 40))
    groups = [order[i : i + size] for i in range(0, len(order), size)]
    rng.shuffle(groups)
    for group in groups:
        width = -(-max(len(rows[i][0]) for i in group) // 32) * 32
        tokens = torch.full((len(group), width), SEPARATOR)
        targets = torch.full((len(group), width), -100)
        for k, i in enumerate(group):
            row, begin = rows[i]
            tokens[k, : len(row)] = torch.tensor(row)
            targets[k, begin - 1 : len(row) - 1] = torch.tensor(row[begin:])
        yield tokens.to(device), targets.to(device)


def learn(model: Llama, exact: dict[str, torch.Tensor], rows: list[tuple[list[int], int]], seconds: float, epochs: int, lr: float, batch: int, teacher: Llama | None = None) -> float:
    """Trains `exact` (the model runs what the file will hold of it) on rows, or on the teacher's distributions over them."""
    device = model.token_embd.weight.device
    adam = torch.optim.AdamW(list(exact.values()), lr=lr, betas=(0.9, 0.95), weight_decay=0.0)
    total, began, step, rng, loss = max(1, epochs * -(-len(rows) // batch)), time.time(), 0, random.Random(1), torch.zeros(())
    for _ in range(epochs):
        for tokens, targets in batches(rows, batch, rng, device):
            progress = max(step / total, (time.time() - began) / seconds)
            if progress >= 1:
                break
            for group in adam.param_groups:
                group["lr"] = lr * min(1, (step + 1) / 20) * (1 - progress)
            logits = model(tokens).float()
            if teacher is None:
                loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)
            else:
                with torch.no_grad():
                    wanted = teacher(tokens).float().softmax(-1)
                learnt = targets >= 0
                loss = F.cross_entropy(logits[learnt], wanted[learnt])
            loss.backward()
            for name, parameter in model.named_parameters():
                exact[name].grad, parameter.grad = parameter.grad.float(), None
            torch.nn.utils.clip_grad_norm_(list(exact.values()), 1.0)
            adam.step()
            fill(model, exact)
            step += 1
    print(f"polish: {step} steps on {len(rows)} rows in {time.time() - began:.0f} s, loss {loss.item():.3f}", flush=True)
    return loss.item()


def greedy_figures(model: Llama, tokenizer, count: int, limit: int) -> dict:
    """The bars on requests that no stage has learnt from: another seed."""
    asked, index = [], 0
    while len(asked) < count:
        r = draw(SEED + 96, index)
        index += 1
        if r.form == "story":
            asked.append(r)
    rng = random.Random(7)
    prompts = [chat(tokenizer, ask(r, f"{r.trait} {r.object_trait} {r.object} {r.place} " + "word " * 150 + r.object, rng)) for r in asked]
    generator = torch.Generator(model.token_embd.weight.device)
    rows = answers(model, prompts, limit, 0.0, generator).tolist()
    ended = loops = keeps = 0
    for r, prompt, row in zip(asked, prompts, rows, strict=True):
        text = ended_text(tokenizer, row, len(prompt))
        ended += bool(text)
        text = text or tokenizer.decode(row[len(prompt) :])
        loops += repeated(text, 8) > 0.2
        keeps += r.name.lower() in last_third(text) and r.object in last_third(text)
    return {"requests": count, "loops": loops / count, "ended": ended / count, "keeps": keeps / count}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--draft", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", default="tiny", choices=SIZES)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=60, help="of writing in each round")
    parser.add_argument("--train-seconds", type=float, default=40, help="of learning in each round")
    parser.add_argument("--draft-seconds", type=float, default=60)
    parser.add_argument("--requests", type=int, default=10**9, help="in each round at most")
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--limit", type=int, default=380)
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--evaluate", type=int, default=400)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    kind = torch.bfloat16 if device == "cuda" else torch.float32
    tokenizer = read_tokenizer(str(args.model))
    saved_tokenizer = args.out / "tokenizer.json"
    tokenizer.save(str(saved_tokenizer))

    def ready(path: Path, size: str) -> tuple[Llama, dict[str, torch.Tensor]]:
        model = load(path, size, device)
        exact = {name: p.detach().clone().float() for name, p in model.named_parameters()}
        model = model.to(kind)
        model.cos, model.sin = model.cos.float(), model.sin.float()
        return model, exact

    def save(size: str, exact: dict[str, torch.Tensor], name: str) -> None:
        checkpoint = args.out / f"{name}.pt"
        torch.save({"exact": {key: value.cpu() for key, value in exact.items()}, "size": size}, checkpoint)
        export(checkpoint, saved_tokenizer, args.out / f"{name}.gguf", name)

    model, exact = ready(args.model, args.size)
    figures = [{"greedy": greedy_figures(model, tokenizer, args.evaluate, 600)}]
    print(f"polish: before {json.dumps(figures[0])}", flush=True)
    rows: list[list[int]] = []
    for turn in range(args.rounds):
        kept, rows, counts = collect(model, tokenizer, args.seconds, args.batch, args.limit, args.temperature, turn * 10**7, args.requests)
        print(f"polish: round {turn}, {json.dumps(counts)}", flush=True)
        rng, lessons = random.Random(turn), []
        for r, text in kept:
            prompt = chat(tokenizer, worded(r, text, rng))
            lessons.append((prompt + tokenizer.encode(text).ids + [END], len(prompt)))
        learn(model, exact, lessons, args.train_seconds, 2, args.lr, min(128, args.batch))
        figures.append({"counts": counts, "greedy": greedy_figures(model, tokenizer, args.evaluate, 600)})
        print(f"polish: after round {turn} {json.dumps(figures[-1]['greedy'])}", flush=True)
        save(args.size, exact, args.model.stem)
    if args.draft:
        _, rows, counts = collect(model, tokenizer, args.seconds, args.batch, args.limit, 0.6, 9 * 10**7, args.requests)
        teacher = copy.deepcopy(model).eval()
        small, small_exact = ready(args.draft, "draft")
        begins = [(row, row.index(END) + 1) for row in rows]
        learn(small, small_exact, begins, args.draft_seconds, 4, 1e-3, min(128, args.batch), teacher)
        save("draft", small_exact, args.draft.stem)
    (args.out / "polish.json").write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()

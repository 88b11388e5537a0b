"""Trains an LDLP for a head: how many tokens of its chain the target will accept.

    python -m ldlp.train --target TARGET.gguf --head head.gguf --texts data/texts --out ldlp.gguf --seconds 90

The head is frozen. It drafts K_MAX tokens of its own behind every position of the greedy answers; labels and features are made once and kept in memory, then one
LDLP is trained for each lambda, all on the same examples. What is printed for each: mean |error|, how often the length is too short, and what decoding the
held-out texts with that length would bring and cost.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from story.teacher import read_tokenizer

from eagle.conversation import wrapping
from eagle.evaluate import loops
from eagle.files import HeadFile, read_head
from eagle.moment import moment
from eagle.target import Target
from eagle.texts import Batch, batches, read_texts

from .model import Ldlp, LdlpFile, read_ldlp, write_ldlp

PENALTIES = (1.0, 1.5, 2.0, 3.0, 4.0)


@dataclass
class Examples:
    embedding: torch.Tensor  # [examples, hidden] of the last validated token
    final: torch.Tensor  # [examples, hidden] its state after the target's final norm
    length: torch.Tensor  # [examples] tokens accepted behind the bonus token


@torch.no_grad()
def accepted(target: Target, file: HeadFile, batch: Batch, stops: torch.Tensor, k_max: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """[texts, rows] the tokens of the head's own chain behind row r that are right, and whether that is known: the root was chosen by the target
    and so were the next K_MAX, or the answer ends among them. With them the states [texts, rows, hidden] after the final norm.

    Row r stands for the last validated token r: the bonus token is r + 1, the draft begins at r + 2.
    """
    head, tokens = file.head, batch.tokens
    now = moment(target, file.draft_vocab, tokens, file.text_rows)
    vocab, others = torch.cat((file.draft_vocab, now.others)), now.rows.float()
    layers = target.shape.layers
    taps = target.taps(tokens, (*head.shape.taps, layers))
    final = target.final(taps[-1][:, :-1])
    rows = torch.arange(tokens.shape[1] - 1, device=tokens.device)
    feature, token = head.feature([tap[:, :-1].float() for tap in taps[:-1]]), tokens[:, 1:]
    right = torch.ones_like(token, dtype=torch.bool)
    length = torch.zeros_like(token)
    past = []
    for depth in range(k_max):
        past.append(head.follow(target.embedding[token].float(), feature, rows + depth, past))
        feature = past[-1].state
        token = vocab[head.guess(feature, others, now.known).argmax(-1)]
        there, truth = torch.zeros_like(right), torch.zeros_like(token)
        there[:, : -depth - 1], truth[:, : -depth - 1] = batch.chosen[:, depth + 2 :], tokens[:, depth + 2 :]
        right = right & there & (token == truth)
        length += right
    ends = batch.chosen & ~torch.nn.functional.pad(batch.chosen[:, 1:], (0, 1))
    ended = ends & torch.isin(tokens, stops)  # the last token of an answer that was not cut off
    count = batch.chosen.long().cumsum(1)
    known = torch.zeros_like(right)
    for depth in range(1, k_max + 1):  # the answer ends, or goes on for K_MAX tokens
        if depth < known.shape[1]:
            known[:, :-depth] |= ended[:, depth + 1 :]
    known[:, : -k_max] |= count[:, k_max + 1 :] - count[:, 1:-k_max] == k_max
    return length, known & batch.chosen[:, 1:], final


def examples(target: Target, file: HeadFile, some, stops: torch.Tensor, k_max: int, most: int, seconds: float) -> Examples:
    began, parts, count = time.time(), [], 0
    for batch in some:
        batch = batch.to(target.device)
        length, known, final = accepted(target, file, batch, stops, k_max)
        parts.append(Examples(target.embedding[batch.tokens[:, :-1][known]], final[known], length[known]))
        count += int(known.sum())
        if count >= most or time.time() - began > seconds:
            break
    if not count:
        raise SystemExit("there is no greedy answer that is long enough to learn from")
    return Examples(*(torch.cat([getattr(part, name) for part in parts]) for name in ("embedding", "final", "length")))


def asymmetric(guess: torch.Tensor, length: torch.Tensor, penalty: float) -> torch.Tensor:
    """|guess - length|, `penalty` times that where the guess is too short."""
    error = guess - length
    return torch.where(error < 0, -error * penalty, error).mean()


def fit(data: Examples, width: int, penalty: float, seconds: float, batch: int, peak: float) -> Ldlp:
    torch.manual_seed(1)
    device, count = data.final.device, len(data.length)
    model = Ldlp(data.final.shape[1], width).to(device)
    adam = torch.optim.AdamW(model.parameters(), lr=peak, weight_decay=0.01)
    began, done = time.time(), 0.0
    while done < 1:
        for group in adam.param_groups:
            group["lr"] = peak * min(1.0, done / 0.05 + 0.02) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))
        chosen = torch.randint(0, count, (batch,), device=device)
        loss = asymmetric(model(data.embedding[chosen].float(), data.final[chosen].float()), data.length[chosen], penalty)
        adam.zero_grad()
        loss.backward()
        adam.step()
        done = (time.time() - began) / seconds
    return model.eval()


@torch.no_grad()
def judge(model: Ldlp | None, fixed: int, target: Target, file: HeadFile, texts, stops: torch.Tensor, k_max: int) -> dict[str, float]:
    """Decoding of texts simulated with the model's lengths, or with a fixed one: MAT and tokens drafted a pass; and the errors at all roots."""
    tokens = passes = drafted = 0
    errors, short = [], []
    for batch in texts:
        length, known, final = accepted(target, file, batch, stops, k_max)
        guess = torch.full_like(length, fixed)
        if model is not None:
            guess = model(target.embedding[batch.tokens[:, :-1]].float(), final.float()).round().clamp(0, k_max).long()
        errors.append((guess - length)[known].abs().float())
        short.append((guess < length)[known].float())
        for chosen, right, k in zip(batch.chosen.tolist(), length.tolist(), guess.tolist(), strict=True):
            row, end = chosen.index(True) - 1, len(chosen) - 1 - chosen[::-1].index(True) - 1  # rows of the first root and of the last token
            while row < end:
                step = min(right[row], k[row])
                row, passes, drafted, tokens = row + step + 1, passes + 1, drafted + k[row], tokens + step + 1
    return {"mat": round(tokens / max(1, passes), 3), "drafted a pass": round(drafted / max(1, passes), 3), "error": round(torch.cat(errors).mean().item(), 3),
            "too short": round(torch.cat(short).mean().item(), 3)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", required=True, help="GGUF file")
    parser.add_argument("--head", type=Path, required=True, help="the head's file, as it will be used")
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="file of the LDLP with --lambda; others are written beside it")
    parser.add_argument("--name", default="espalier-ldlp")
    parser.add_argument("--lambda", dest="penalty", type=float, default=2.0, choices=PENALTIES)
    parser.add_argument("--k-max", type=int, default=8)
    parser.add_argument("--width", type=int, help="the target's hidden size if not given")
    parser.add_argument("--seconds", type=float, default=90, help="in all: a third for labels, the rest for the sweep")
    parser.add_argument("--examples", type=int, default=2_000_000)
    parser.add_argument("--batch", type=int, default=8192)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--tokens", type=int, default=16384, help="of a batch of texts")
    parser.add_argument("--held-out", type=int, default=150, help="texts to judge on")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    target = Target(args.target, device)
    file = read_head(args.head, target)
    file.head.to(device)
    file.draft_vocab = file.draft_vocab.to(device)
    stops = torch.tensor(wrapping(target, read_tokenizer(args.target)).stops, device=device)
    digest = hashlib.sha256(args.head.read_bytes()).hexdigest()
    greedy = [text for text in read_texts(args.texts) if text.greedy]
    data = examples(target, file, batches([t for t in greedy if not t.held_out], args.tokens, 1), stops, args.k_max, args.examples, args.seconds / 3)
    spread = torch.bincount(data.length, minlength=args.k_max + 1).float() / len(data.length)
    print(f"ldlp: {len(data.length)} examples, lengths {' '.join(f'{share:.3f}' for share in spread.tolist())}", flush=True)
    aside = [text for text in greedy if text.held_out and not loops(text) and (~text.chosen[text.first :]).sum() == 0][: args.held_out]
    texts = [batch.to(device) for batch in batches(aside, args.tokens, 2)]
    table: dict[str, dict] = {}
    for k in range(args.k_max + 1):
        table[f"fixed {k}"] = judge(None, k, target, file, texts, stops, args.k_max)
        print(f"ldlp: fixed {k}: {table[f'fixed {k}']}", flush=True)
    for penalty in PENALTIES:
        model = fit(data, args.width or target.shape.hidden, penalty, args.seconds * 2 / 3 / len(PENALTIES), args.batch, args.rate)
        path = args.out if penalty == args.penalty else args.out.with_stem(f"{args.out.stem}-{penalty:g}")
        write_ldlp(path, LdlpFile(model.cpu(), args.k_max, penalty, digest), target, args.name)
        row = table[f"lambda {penalty:g}"] = judge(read_ldlp(path).model.to(device), 0, target, file, texts, stops, args.k_max)
        print(f"ldlp: lambda {penalty:g}: {row}, {path.name} {path.stat().st_size / 1e6:.2f} MB", flush=True)
    args.out.with_suffix(".json").write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()

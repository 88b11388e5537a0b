"""Stage `evaluate`: how far the drafts of a head's file are right, along texts that the target wrote greedily.

    python -m eagle.evaluate --target TARGET.gguf --head head.gguf --texts data/texts --out table.json
    python -m eagle.evaluate --target TARGET.gguf --head head.gguf --prompts prompts.jsonl      the target answers {"messages": [...]} first

A chain is the head's best token after its best token. A tree of n nodes, root included, is the best of those that ROUNDS levels of WIDTH nodes reach. Decoding is
simulated: from each root the accepted path is walked, and the next root is the token behind it. MAT is tokens by passes, the bonus token included.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from story.teacher import read_tokenizer

from .conversation import render, wrapping
from .files import HeadFile, read_head
from .head import Rows
from .moment import Moment, moment
from .prompts import KINDS
from .target import Target
from .texts import Text, read_texts
from .writer import GREEDY, Writer

CHAINS, TREES = (1, 2, 3, 4, 6), (4, 8, 16, 32)
DEPTH, WIDTH, ROUNDS = 8, 16, 10


@dataclass
class Reach:
    """What the drafts behind each root of a text would bring: arrays [roots], tokens accepted."""

    chain: np.ndarray  # with DEPTH tokens
    path: np.ndarray  # [roots, ROUNDS] the place that the right token of each depth has among all nodes, by value; huge where it is not there


def right_tokens(text: Text, count: int) -> torch.Tensor:
    """[roots, count] the tokens behind each root; -1 behind the end."""
    first = text.first
    tokens = torch.from_numpy(text.tokens[first + 1 :].astype(np.int64))
    padded = torch.cat((tokens, torch.full((count,), -1)))
    return padded.unfold(0, count, 1)[: len(tokens)]


def whole(target: Target, text: Text) -> torch.Tensor:
    """Its tokens [1, length]."""
    return torch.from_numpy(text.tokens[None].astype(np.int64)).to(target.device)


@torch.no_grad()
def committed(target: Target, file: HeadFile, text: Text) -> Rows:
    """The head's rows of a text, in float32."""
    tokens = whole(target, text)
    taps = [tap[:, :-1].float() for tap in target.taps(tokens, file.head.shape.taps)]
    positions = torch.arange(tokens.shape[1] - 1, device=tokens.device)
    return file.head.follow(target.embedding[tokens[:, 1:]].float(), file.head.feature(taps), positions, [])


@torch.no_grad()
def reach(target: Target, file: HeadFile, text: Text) -> Reach:
    """Roots are the chosen tokens of a text of one answer, but its last."""
    head, device = file.head, target.device
    now = moment(target, file.draft_vocab, whole(target, text), file.text_rows)
    others, known, vocab = now.rows.float(), now.known[0], torch.cat((file.draft_vocab.to(device), now.others))
    base = committed(target, file, text)
    right = right_tokens(text, ROUNDS).to(device)
    roots, first = len(right), text.first - 1  # root t of the text stands in row t - 1
    start = torch.arange(first, first + roots, device=device)
    seen = torch.arange(base.keys.shape[1], device=device) <= start[:, None]

    # A row for each node: levels[d] has `width` nodes a root. `line` leads from the nodes of the newest level to their ancestors.
    rank = torch.full((roots, ROUNDS), 10**6, device=device)
    states = base.state[:, start]  # [1, roots * width, hidden]
    width, depth_reached = 1, torch.zeros(roots, dtype=torch.long, device=device)
    value = torch.zeros(roots, 1, device=device)
    on_path = torch.zeros(roots, 1, dtype=torch.long, device=device)  # the node of this level on the right path, or -1
    best_values, path_values = [], []
    own: Rows | None = None
    for depth in range(ROUNDS):
        guessed = head.guess(states, others, known[start].repeat_interleave(width, 0))
        scores = guessed[0].view(roots, width, -1) + value[..., None]
        top = scores.topk(min(TREES[-1], scores.shape[-1]), -1)
        flat = top.values.flatten(1)
        kept = flat.topk(min(TREES[-1], flat.shape[1]), -1)
        best_values.append(kept.values)
        parent, token = kept.indices // top.values.shape[-1], vocab[top.indices.flatten(1).gather(1, kept.indices)]
        wanted = (vocab == right[:, depth, None]).float()  # of the right token, if it can be guessed
        can = (wanted.sum(-1) > 0) & (on_path[:, 0] >= 0)
        at = scores.gather(1, on_path.clamp(min=0)[..., None].expand(-1, 1, scores.shape[-1]))[:, 0]
        path_values.append(torch.where(can, (at * wanted).sum(-1), -torch.inf))
        if depth == ROUNDS - 1:
            break
        width = min(WIDTH, kept.values.shape[1])
        value, parent, token = kept.values[:, :width], parent[:, :width], token[:, :width]
        hit = (token == right[:, depth, None]) & (parent == on_path)
        on_path = torch.where(hit.any(-1) & can, hit.float().argmax(-1), -1)[:, None]
        chosen = (torch.arange(roots, device=device)[:, None] * (states.shape[1] // roots) + parent).flatten()
        feature = states[:, chosen]
        if depth:
            own = Rows(states, rows_own.keys[:, chosen], rows_own.values[:, chosen])
        rows = head.rows(target.embedding[token.flatten()][None].float(), feature, (start[:, None] + depth + 1).expand(-1, width).flatten(), base, seen.repeat_interleave(width, 0), own)
        fresh = Rows(rows.state, rows.keys.unsqueeze(2), rows.values.unsqueeze(2))
        rows_own = fresh if own is None else Rows(rows.state, torch.cat((own.keys, fresh.keys), 2), torch.cat((own.values, fresh.values), 2))
        states = rows.state
    everything = torch.cat(best_values, 1)
    for depth, mine in enumerate(path_values):
        rank[:, depth] = torch.where(mine > -torch.inf, (everything > mine[:, None]).sum(-1), 10**6)
    rank = rank.cummax(1).values  # a node is never there without its ancestors
    return Reach(chain(target, file, text, base, now, DEPTH).cpu().numpy(), rank.cpu().numpy())


@torch.no_grad()
def chain(target: Target, file: HeadFile, text: Text, base: Rows, now: Moment, most: int) -> torch.Tensor:
    """[roots] how many tokens of the head's own chain are right."""
    head, device = file.head, target.device
    right = right_tokens(text, most).to(device)
    others, vocab = now.rows.float(), torch.cat((file.draft_vocab.to(device), now.others))
    first = text.first - 1
    rows, past, found = base.state.shape[1], [base], []
    for depth in range(most):
        token = vocab[head.guess(past[-1].state, others, now.known).argmax(-1)]
        found.append(token[0, first : first + len(right)] == right[:, depth])
        if depth + 1 < most:
            positions = torch.arange(rows, device=device) + depth + 1
            past.append(head.follow(target.embedding[token].float(), past[-1].state, positions, past))
    return torch.stack(found, 1).cumprod(1).sum(1)


def walk(accepted: np.ndarray) -> tuple[int, int]:
    """Tokens and passes from the first root to the end of a text, for the tokens accepted behind each root."""
    at, passes = 0, 0
    while at < len(accepted):
        at, passes = at + int(accepted[at]) + 1, passes + 1
    return len(accepted), passes


def loops(text: Text) -> bool:
    """Whether most runs of 8 tokens of the answer have occurred in it before."""
    answer = text.tokens[text.chosen].tolist()
    runs = [tuple(answer[i : i + 8]) for i in range(len(answer) - 7)]
    return len(runs) > 20 and len(set(runs)) < 0.5 * len(runs)


def simulate(texts: list[Text], reached: list[Reach]) -> dict[str, float]:
    """MAT of each shape over all texts."""
    shapes = {f"chain {k}": (lambda r, k=k: r.chain.clip(max=k)) for k in CHAINS}
    shapes |= {f"n={n}": (lambda r, n=n: (r.path < n - 1).cumprod(1).sum(1)) for n in TREES}
    found = {}
    for name, accepted in shapes.items():
        sums = np.sum([walk(np.minimum(accepted(r), np.arange(len(r.chain), 0, -1))) for r in reached], 0) if reached else (0, 1)
        found[name] = round(float(sums[0] / sums[1]), 3)
    return found


def acceptance(reached: list[Reach]) -> list[float]:
    """Entry d: the share of roots whose chain is right at depth d + 1, among those right before it."""
    all_ = np.concatenate([r.chain[: max(0, len(r.chain) - DEPTH)] for r in reached])
    return [float((all_ > d).sum() / max(1, (all_ >= d).sum())) for d in range(DEPTH)]


def answered(target: Target, prompts: Path, most: int, limit: int) -> list[Text]:
    """Greedy answers of the target to a file of prompts."""
    tokenizer = read_tokenizer(target.path)
    rows = [json.loads(line) for line in prompts.read_text().splitlines()][:limit]
    ids = [tokenizer.encode(render(target.template, row["messages"])).ids for row in rows]
    length = max(map(len, ids)) + most
    writer = Writer(target, len(ids), length, wrapping(target, tokenizer).stops)
    number = lambda values: torch.tensor(values).to(target.device)  # noqa: E731
    writer.capture()
    for n, prompt in enumerate(ids):
        writer.prefill(number([n]), number([prompt]), number([len(prompt)]), number([GREEDY]), number([most]))
    while not bool(writer.done.all()):
        for _ in range(16):
            writer.step()
    texts = []
    for n, prompt in enumerate(ids):
        tokens = writer.text[n, : int(writer.position[n]) + 1].cpu().numpy()
        texts.append(Text(tokens, np.arange(len(tokens)) >= len(prompt), True, True, 0))
    return texts


def one_answer(text: Text) -> Text:
    """A conversation up to the end of its first answer."""
    gap = ~text.chosen[text.first :]
    end = text.first + int(gap.argmax()) if gap.any() else len(text.tokens)
    return Text(text.tokens[:end], text.chosen[:end], text.greedy, text.held_out, text.kind)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", required=True, help="GGUF file")
    parser.add_argument("--head", type=Path, nargs="+", required=True, help="files of heads")
    parser.add_argument("--texts", type=Path, help="held-out conversations of this folder or shard")
    parser.add_argument("--prompts", type=Path, help="requests to answer instead, one JSON object with `messages` a line")
    parser.add_argument("--most", type=int, default=256, help="tokens of an answer to a prompt")
    parser.add_argument("--count", type=int, default=200, help="texts")
    parser.add_argument("--out", type=Path, help="JSON of what is printed")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    target = Target(args.target, device)
    texts = answered(target, args.prompts, args.most, args.count) if args.prompts else [one_answer(t) for t in read_texts(args.texts) if t.held_out and t.greedy]
    texts = [text for text in texts if text.chosen.sum() > DEPTH + 1][: args.count]
    if not texts:
        raise SystemExit("there is no greedy text kept out of training that is long enough")
    table = {}
    for path in args.head:
        file = read_head(path, target)
        file.head.to(device)
        reached = [reach(target, file, text) for text in texts]
        calm = [r for r, text in zip(reached, texts, strict=True) if not loops(text)]
        row = table[path.name] = {
            "texts": len(texts), "roots": sum(len(r.chain) for r in reached), "acceptance": [round(x, 4) for x in acceptance(reached)], "mat": simulate(texts, reached),
            "texts without loops": len(calm), "mat without loops": simulate(texts, calm),
        }  # fmt: skip
        if not args.prompts:
            row["mat by kind"] = {
                kind: simulate(texts, some) for k, kind in enumerate(KINDS) if (some := [r for r, text in zip(reached, texts, strict=True) if text.kind == k])
            }
        print(f"evaluate: {path.name}: {len(texts)} texts, acceptance {' '.join(f'{x:.3f}' for x in row['acceptance'])}", flush=True)
        print(f"evaluate: MAT {row['mat']}; without loops ({len(calm)} texts) {row['mat without loops']}", flush=True)
    if args.out:
        args.out.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()

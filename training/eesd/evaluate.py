"""Stage `evaluate`: how far the drafts of exit blocks are right along texts that the target wrote greedily, and what they would bring.

    python -m eesd.evaluate --target TARGET.gguf --exit NAME-3.gguf NAME-5.gguf --texts data/texts --vocab 4096 8192 full --out table.json

A draft that is right so far has passed the target's own first layers, so its rows are the text's: one pass over a text says what every chain
would have been. Decoding is simulated: from each root the accepted tokens are walked, and the next root is the token behind them. MAT is
tokens by passes, the bonus token included.

Costs are bytes of weights read, in layers of the target: a rough guide where rows are few and weights do not fit in a cache. A step with a chain of k
reads the first N layers k + 1 times, block and draft vocabulary k times, the other layers and the whole output matrix once.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from eagle.evaluate import loops, one_answer, walk
from eagle.prompts import KINDS
from eagle.target import Target
from eagle.texts import Text, read_texts

from .exits import ExitFile, read_exit
from .train import FULL, vocab_size

DEPTH, BEST, BINS = 8, (1, 2, 4, 8), 10


@dataclass
class Guesses:
    """What a block guesses in the rows of an answer but its last, whose right token nobody knows. Arrays [rows]."""

    rank: np.ndarray  # of the right token among all that can be guessed, from 0; huge if it cannot be
    odds: np.ndarray  # of the best guess

    @property
    def run(self) -> np.ndarray:
        """Tokens of a chain of any length that are right, behind each row."""
        run = np.zeros(len(self.rank) + 1, np.int64)
        for row in reversed(range(len(self.rank))):
            run[row] = run[row + 1] + 1 if self.rank[row] == 0 else 0
        return run[:-1]


@torch.no_grad()
def guesses(target: Target, files: list[ExitFile], text: Text, matrix: torch.Tensor, sizes: list[int]) -> list[dict[int, Guesses]]:
    """For each file and each size of its vocabulary, along a text of one answer. `matrix` is in the order of the files' draft vocabulary."""
    tokens = torch.from_numpy(text.tokens[None, :-1].astype(np.int64)).to(target.device)
    place = torch.full((target.shape.vocab,), 10**6, device=target.device)
    place[files[0].draft_vocab.to(target.device)] = torch.arange(len(files[0].draft_vocab), device=target.device)
    right = place[torch.from_numpy(text.tokens[text.first + 1 :].astype(np.int64)).to(target.device)]
    found = []
    for file, tap in zip(files, target.taps(tokens, tuple(file.exit_layer for file in files)), strict=True):
        logits = F.linear(file.block(tap.float())[0, text.first :], matrix)
        here = {}
        for size in sizes:
            some = logits[:, :size]
            theirs = some.gather(1, right.clamp(max=size - 1)[:, None])
            rank = torch.where(right < size, (some > theirs).sum(-1), 10**6)
            here[size] = Guesses(rank.cpu().numpy(), some.softmax(-1).amax(-1).cpu().numpy())
        found.append(here)
    return found


def acceptance(runs: list[np.ndarray]) -> list[float]:
    """Entry d: the share of roots whose chain is right at depth d + 1, among those right before it. The end of a text cuts no chain short."""
    run = np.concatenate([run[: max(0, len(run) - DEPTH)] for run in runs])
    return [round(float((run > d).sum() / max(1, (run >= d).sum())), 4) for d in range(DEPTH)]


def mat(runs: list[np.ndarray]) -> list[float]:
    """Tokens by passes, with chains of 1 to DEPTH."""
    found = []
    for k in range(1, DEPTH + 1):
        tokens, passes = np.sum([walk(run.clip(max=k)) for run in runs], 0) if runs else (0, 1)
        found.append(round(float(tokens / passes), 3))
    return found


def sureness(some: list[Guesses]) -> list[list[float]]:
    """[odds the block gives its best guess, share that is right, share of all rows], by tenths of the odds."""
    rank, odds = (np.concatenate([getattr(g, name) for g in some]) for name in ("rank", "odds"))
    tenth = (odds * BINS).astype(int).clip(max=BINS - 1)
    parts = [(odds[tenth == b], rank[tenth == b] == 0) for b in range(BINS)]
    return [[round(float(x), 4) for x in (said.mean(), true.mean(), len(said) / len(odds))] for said, true in parts if len(said)]


@dataclass(frozen=True)
class Costs:
    """Bytes in layers of the target."""

    layers: int
    output: float  # the whole output matrix
    block: float

    @staticmethod
    def of(target: Target, file: ExitFile) -> Costs:
        sizes, layers = target.bytes, target.shape.layers
        layer = sum(size for name, size in sizes.items() if name.startswith("blk.")) / layers
        return Costs(layers, sizes.get("output.weight", sizes["token_embd.weight"]) / layer, file.bytes / layer)

    def table(self, exit_layer: int, share: float, mats: list[float]) -> dict[str, object]:
        """With a draft vocabulary that is `share` of all tokens. Entry k - 1 of `step` and `gain` is for chains of k."""
        plain, drafted = self.layers + self.output, self.block + share * self.output
        steps = [self.layers + exit_layer * k + drafted * k + self.output for k in range(1, DEPTH + 1)]
        gains = [round(m * plain / step, 3) for m, step in zip(mats, steps, strict=True)]
        return {"plain": round(plain, 2), "drafted token": round(exit_layer + drafted, 2), "step": [round(step, 2) for step in steps], "gain": gains}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", required=True, help="GGUF file")
    parser.add_argument("--exit", type=Path, nargs="+", required=True, help="files of blocks with one draft vocabulary")
    parser.add_argument("--texts", type=Path, required=True, help="held-out conversations of this folder or shard")
    parser.add_argument("--vocab", type=vocab_size, nargs="+", default=[FULL], help="tokens that may be guessed")
    parser.add_argument("--count", type=int, default=200, help="texts")
    parser.add_argument("--out", type=Path, help="JSON of all figures")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    target = Target(args.target, device)
    files = [read_exit(path, target) for path in args.exit]
    draft_vocab = files[0].draft_vocab
    if not all(torch.equal(file.draft_vocab, draft_vocab) for file in files):
        raise SystemExit("the files have draft vocabularies of their own; evaluate one after the other")
    texts = [one_answer(text) for text in read_texts(args.texts) if text.held_out and text.greedy]
    texts = [text for text in texts if text.chosen.sum() > DEPTH + 1][: args.count]
    if not texts:
        raise SystemExit("there is no greedy text kept out of training that is long enough")
    sizes = sorted({min(size, len(draft_vocab)) for size in args.vocab})
    for file in files:
        file.block.to(device)
    matrix = target.outputs(draft_vocab)[: len(draft_vocab)].float()
    found = [guesses(target, files, text, matrix, sizes) for text in texts]
    calm, table = [n for n, text in enumerate(texts) if not loops(text)], {}
    for number, (path, file) in enumerate(zip(args.exit, files, strict=True)):
        costs, rows = Costs.of(target, file), {}
        for size in sizes:
            some = [text[number][size] for text in found]
            runs = [g.run for g in some]
            rank, mats = np.concatenate([g.rank for g in some]), mat(runs)
            kinds = {kind: here for k, kind in enumerate(KINDS) if (here := [run for run, text in zip(runs, texts, strict=True) if text.kind == k])}
            rows[str(size)] = row = {
                "acceptance": acceptance(runs), "mat": mats, "mat without loops": mat([runs[n] for n in calm]), "cost": costs.table(file.exit_layer, size / target.shape.vocab, mats),
                "right among best": {str(b): round(float((rank < b).mean()), 4) for b in BEST}, "odds": sureness(some),
                "mat by kind": {kind: mat(here) for kind, here in kinds.items()},
            }  # fmt: skip
            print(f"evaluate: {path.name}, {size} tokens: acceptance {' '.join(f'{x:.3f}' for x in row['acceptance'])}; MAT {' '.join(f'{x:.2f}' for x in mats)}; "
                  f"gain {' '.join(f'{x:.2f}' for x in row['cost']['gain'])}", flush=True)  # fmt: skip
        table[path.name] = {"exit": file.exit_layer, "texts": len(texts), "rows": len(rank), "texts without loops": len(calm), "vocab": rows}
    if args.out:
        args.out.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()

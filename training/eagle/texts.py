"""Conversations of the target on disk and in batches.

A shard `texts-*.npz` holds `tokens` of all its conversations one after another, `offsets` [texts + 1], `chosen` [tokens] (whether the target chose
the token as part of an answer), `greedy`, `held_out` [texts], and `kind` [texts] (an index into prompts.KINDS).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

ROUND = 64  # rows of a batch are filled up to a multiple of this


@dataclass
class Text:
    tokens: np.ndarray
    chosen: np.ndarray
    greedy: bool
    held_out: bool
    kind: int

    @property
    def first(self) -> int:
        """The place of the first token that the target chose."""
        return int(self.chosen.argmax())


@dataclass
class Shards:
    """Collects texts and writes a shard at a time, under its final name only when whole."""

    folder: Path
    size: int = 4000
    texts: list[Text] = field(default_factory=list)

    def add(self, text: Text) -> None:
        self.texts.append(text)
        if len(self.texts) >= self.size:
            self.flush()

    def flush(self) -> None:
        if not self.texts:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        name = self.folder / f"texts-{len(list(self.folder.glob('texts-*.npz'))):05d}.npz"
        part = self.folder / "part.npz"
        write_texts(part, self.texts)
        os.replace(part, name)
        self.texts = []


def write_texts(path: Path, texts: list[Text]) -> None:
    joined = lambda name: np.concatenate([getattr(text, name) for text in texts])  # noqa: E731
    each = lambda name: np.array([getattr(text, name) for text in texts])  # noqa: E731
    offsets = np.cumsum([0] + [len(text.tokens) for text in texts])
    np.savez_compressed(
        path, tokens=joined("tokens").astype(np.int32), chosen=joined("chosen"), offsets=offsets, greedy=each("greedy"), held_out=each("held_out"), kind=each("kind")
    )  # fmt: skip


def read_texts(place: Path) -> list[Text]:
    """Of a folder of shards, or of one."""
    found = []
    for path in sorted(place.glob("texts-*.npz")) if place.is_dir() else [place]:
        with np.load(path) as saved:
            shard = {name: saved[name] for name in saved.files}
        for n, (begin, end) in enumerate(zip(shard["offsets"], shard["offsets"][1:], strict=False)):
            found.append(Text(shard["tokens"][begin:end], shard["chosen"][begin:end], bool(shard["greedy"][n]), bool(shard["held_out"][n]), int(shard["kind"][n])))
    if not found:
        raise SystemExit(f"there are no texts in {place}; run `python -m eagle.generate` first")
    return found


def most_frequent(texts: list[Text], rows: int, vocab: int, first: bool = False) -> tuple[np.ndarray, float]:
    """The tokens chosen most often, most frequent first, and their share of all that was chosen. Tokens never chosen come last, by their ids.

    With `first` a token counts where its text has not had it, and the share is of such tokens: a head with text rows can guess the others anyway.
    """
    counts = np.zeros(vocab, np.int64)
    for text in texts:
        chosen = text.chosen
        if first:
            new = np.zeros(len(chosen), bool)
            new[np.unique(text.tokens, return_index=True)[1]] = True
            chosen = chosen & new
        counts += np.bincount(text.tokens[chosen], minlength=vocab)
    order = np.argsort(-counts, kind="stable")[:rows]
    return order, counts[order].sum() / max(1, counts.sum())


@dataclass
class Batch:
    tokens: torch.Tensor  # [texts, length], filled up on the right
    chosen: torch.Tensor  # [texts, length] whether the target chose the token; false where filled up

    def to(self, device: str) -> Batch:
        return Batch(*(t.pin_memory().to(device, non_blocking=True) if device == "cuda" else t for t in (self.tokens, self.chosen)))


def batched(texts: list[Text]) -> Batch:
    length = -(-(max(len(text.tokens) for text in texts) - 1) // ROUND) * ROUND + 1  # rows of a head are one fewer
    tokens, chosen = np.zeros((len(texts), length), np.int64), np.zeros((len(texts), length), bool)
    for n, text in enumerate(texts):
        tokens[n, : len(text.tokens)], chosen[n, : len(text.tokens)] = text.tokens, text.chosen
    return Batch(torch.from_numpy(tokens), torch.from_numpy(chosen))


def batches(texts: list[Text], tokens: int, seed: int):
    """Batches of about `tokens` tokens, each of texts of about one length, and of about one length up to their answers, in random order; every text once."""
    rng = np.random.default_rng(seed)
    order, groups = rng.permutation(len(texts)), []
    for begin in range(0, len(order), 8192):
        part = sorted(order[begin : begin + 8192].tolist(), key=lambda n: (len(texts[n].tokens) // ROUND, texts[n].first))
        while part:
            longest = -(-len(texts[part[-1]].tokens) // ROUND) * ROUND
            take = max(1, tokens // longest)
            groups.append(part[-take:])
            del part[-take:]
    for n in rng.permutation(len(groups)):
        yield batched([texts[i] for i in groups[n]])

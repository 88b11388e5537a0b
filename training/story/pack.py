"""Stage `pack`: conversations as token ids, packed into rows; and the held-out ones as they are.

    python -m story.pack --clean data/clean --tokenizer data/tokenizer.json --out data/rows

A row is ROW + 1 ids of 16 bits, of which the highest says "not learnt from" (what the user says, separators, padding).
A row begins with the beginning of a document. Held-out documents go to `heldout-*.jsonl`, one conversation a line.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from .filter import follow
from .render import conversation, held_out
from .requests import draw
from .tokenizer import END, SEPARATOR, START

ROW = 1024
SILENT = 1 << 15


def encode_document(tokenizer: Tokenizer, turns: list[tuple[str, str]]) -> list[int]:
    """Token ids, those not learnt from marked with SILENT; closed by a separator."""
    ids: list[int] = []
    for role, content in turns:
        said = tokenizer.encode(content).ids
        if role == "text":
            ids += [*said, END]
        elif role == "assistant":
            ids += [token | SILENT for token in (START, *tokenizer.encode("assistant\n").ids)] + [*said, END]
        else:
            ids += [token | SILENT for token in (START, *tokenizer.encode(role + "\n" + content).ids, END)]
        if role != "text":
            ids += [token | SILENT for token in tokenizer.encode("\n").ids]
    return [*ids, SEPARATOR | SILENT]


class Rows:
    """First-fit over a few open rows."""

    def __init__(self, open_rows: int = 32):
        self.open: list[list[int]] = []
        self.full: list[list[int]] = []
        self.limit = open_rows

    def add(self, document: list[int]) -> None:
        if len(document) > ROW + 1:
            return
        for row in self.open:
            if len(row) + len(document) <= ROW + 1:
                row += document
                return
        self.open.append(list(document))
        if len(self.open) > self.limit:
            fullest = max(range(len(self.open)), key=lambda i: len(self.open[i]))
            self.full.append(self.open.pop(fullest))

    def array(self) -> np.ndarray:
        rows = self.full + self.open
        out = np.full((len(rows), ROW + 1), SEPARATOR | SILENT, np.uint16)
        for i, row in enumerate(rows):
            out[i, : len(row)] = row
        return out


_state: dict[str, Tokenizer] = {}


def _start(path: str) -> None:
    _state["tokenizer"] = Tokenizer.from_file(path)


def pack_shard(job: tuple[str, str, int]) -> tuple[int, int]:
    """Rows of one clean shard; returns how many tokens are learnt from, and how many bytes they spell."""
    path, out, seed = job
    rows, aside, size = Rows(), [], 0
    for line in Path(path).read_text().splitlines():
        record = json.loads(line)
        request = draw(seed, record["index"])
        turns = conversation(request, record["text"], record["summary"], random.Random(record["index"]))
        if held_out(record["index"]):
            aside.append(json.dumps({"index": record["index"], "turns": turns}))
        else:
            rows.add(encode_document(_state["tokenizer"], turns))
            size += sum(len(content) for role, content in turns if role in ("assistant", "text"))
    stem = Path(path).stem[6:]
    (Path(out) / f"heldout-{stem}.jsonl").write_text("".join(line + "\n" for line in aside))
    array = rows.array()
    np.save(Path(out) / f"rows-{stem}.tmp.npy", array)
    os.replace(Path(out) / f"rows-{stem}.tmp.npy", Path(out) / f"rows-{stem}.npy")
    return int((array < SILENT).sum()), size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clean", type=Path, required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--follow", action="store_true")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    tokens = size = 0
    with multiprocessing.get_context("spawn").Pool(args.workers, _start, (args.tokenizer,)) as pool:
        jobs = ((str(path), str(args.out), args.seed) for path in follow(args.clean, "clean-*.jsonl", args.follow))
        for learnt, spelled in pool.imap_unordered(pack_shard, jobs):
            tokens, size = tokens + learnt, size + spelled
    (args.out / "done").touch()
    print(f"pack: {tokens} tokens to learn from, {size / max(tokens, 1):.2f} bytes a token")


if __name__ == "__main__":
    main()

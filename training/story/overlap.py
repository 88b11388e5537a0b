"""Stage `overlap`: hashes of every run of 13 words in a folder of measuring data, so that no such run gets into the text.

    python -m story.overlap --data FOLDER --out grams.npy

Only hashes leave the folder. A row that shares one run of 13 words with a text throws the text out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from functools import lru_cache
from pathlib import Path

import numpy as np

GRAM = 13
_POWERS = np.array([pow(6364136223846793005, i, 1 << 64) for i in range(GRAM)], dtype=np.uint64)


@lru_cache(maxsize=200_000)
def _word(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")


def gram_hashes(text: str) -> np.ndarray:
    """One 64-bit hash for every run of 13 words; case and punctuation do not count."""
    hashes = np.array([_word(word) for word in re.findall(r"[a-z0-9]+", text.lower())], dtype=np.uint64)
    count = len(hashes) - GRAM + 1
    if count <= 0:
        return np.zeros(0, np.uint64)
    return np.add.reduce([hashes[i : i + count] * _POWERS[i] for i in range(GRAM)])


def known(hashes: np.ndarray, table: np.ndarray) -> bool:
    """Whether any of `hashes` is in the sorted `table`."""
    if len(table) == 0 or len(hashes) == 0:
        return False
    return bool((table[np.searchsorted(table, hashes).clip(max=len(table) - 1)] == hashes).any())


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for part in parts for text in _strings(part)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    tables = [np.zeros(0, np.uint64)]
    rows = 0
    for path in sorted(args.data.iterdir()):
        lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [json.dumps(path.read_text())]
        rows += len(lines)
        tables += [gram_hashes(text) for line in lines for text in _strings(json.loads(line))]
    table = np.unique(np.concatenate(tables))
    np.save(args.out, table)
    print(f"overlap: {len(table)} runs of {GRAM} words from {rows} rows")


if __name__ == "__main__":
    main()

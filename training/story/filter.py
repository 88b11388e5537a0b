"""Stage `filter`: keeps the texts worth learning from, and says why the others went.

    python -m story.filter --teacher SmolLM2-135M-Instruct.Q4_1.gguf --raw data/raw --out data/clean --grams grams.npy

Reads shards of `generate`, also while they are still being written (`--follow` until a file `done` appears), and writes one
`clean-*.jsonl` a shard: {"index", "text", "summary"}.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import time
from collections import Counter
from pathlib import Path

import numpy as np

from .overlap import gram_hashes, known
from .requests import Request, draw
from .teacher import read_tokenizer

PREACHING = re.compile(
    r"\b(moral|lessons?|remind(s|ed|er)?|importan(t|ce)|testament|remember that|true meaning|taught (us|everyone)|always remember"
    r"|inspir\w+|valuable|determination|perseverance|kindness and|the power of|in conclusion|in summary|overall)\b",
    re.IGNORECASE,
)
META = re.compile(
    r"\b((this|the|my|a short|our) (story|tale|dialogue)|in this|title|chapter|author|readers?|language model|AI|sentences?|paragraph|"
    r"https?|www|write|wrote|narrator|character|assistant|user|sex\w*|kill\w*|murder\w*|blood\w*|drunk|beer|wine|gun|guns|suicide|hell|naked|arrest\w*|kidnap\w*|prison|dead|death|died?|knife)\b",
    re.IGNORECASE,
)
LIST = re.compile(r"^\s*([-*#•]|\d+[.)])|\*\*|[_`{}<>|\[\]()=]|:\s*$", re.MULTILINE)
PLAIN = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "—": ", ", "–": "-", "…": "...", "\u00a0": " "})
SENTENCE = re.compile(r"(?<=[.!?])[\"']?\s+")


def repeated(text: str, n: int) -> float:
    """The part of the runs of n words that occurred before in the text."""
    words = text.lower().split()
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def harps(text: str, r: Request) -> bool:
    """Whether one long word that is not the character or the object is every twelfth word or more."""
    spoken = re.findall(r"[a-z]{4,}", text.lower())
    common = [count for word, count in Counter(spoken).most_common(4) if word not in (r.name.lower(), r.object, r.helper_name.lower())]
    return bool(common) and common[0] > max(4, len(text.split()) / 12)


def last_third(text: str) -> str:
    return text[2 * len(text) // 3 :].lower()


def strangers(text: str, r: Request, common: set[str]) -> int:
    """Names that the request did not bring: capitals in mid-sentence, or at its start when the word is not a `common` one."""
    known_words = {r.name, r.helper_name, "I", "Mr", "Mrs", *r.name.split(), *(word.capitalize() for word in f"{r.kind} {r.helper} {r.object}".split())}
    inside = {word for word in re.findall(r"(?<=[a-z,] )([A-Z][a-z]+)", text) if word not in known_words}
    first = {word for word in re.findall(r"(?:^|[.!?\n\"] ?)([A-Z][a-z]+)", text) if word not in known_words and word.lower() not in common}
    return len(inside | first)


def tidy(text: str, form: str) -> str:
    """Plain quotes, single spaces, and the line breaks of its form."""
    text = re.sub(r" *\n\s*", "\n" if form == "dialogue" else "\n\n", text.translate(PLAIN))
    text = re.sub(r"[ \t]+", " ", text).strip()
    return text.replace("\n", "\n\n", 1) if form == "dialogue" else text


def known_words(tokenizer) -> set[str]:
    """Words that are tokens of their own, without a capital: no names."""
    return {word[1:] for word in tokenizer.get_vocab() if word[0] == "Ġ" and word[1:].islower()}


def fault(text: str, r: Request, table: np.ndarray, common: set[str]) -> str:
    """Why a text is thrown out, or ""."""
    if not text.isascii():
        return "not plain text"
    if not 25 <= len(text.split()) <= 420:
        return "length"
    if text[-1] not in '.!?"' or text.count('"') % 2:
        return "truncated"
    if LIST.search(text.replace(f"{r.name}:", "").replace(f"{r.helper_name}:", "")) or len(re.findall(r"\d", text)) > 4:
        return "list"
    if PREACHING.search(text):
        return "preaching"
    if META.search(re.sub(r"told the story of", "", text)):
        return "not a story"
    if repeated(text, 8) > 0.02 or repeated(text, 4) > 0.12 or repeated(text, 2) > 0.4 or harps(text, r):
        return "repeats"
    sentences = [s.lower() for s in SENTENCE.split(text) if len(s.split()) > 3]
    if len(set(sentences)) < len(sentences):
        return "repeats"
    if max((len(s.split()) for s in sentences), default=0) > 60:
        return "endless sentence"
    if r.name.lower() not in last_third(text) and r.form == "story":
        return "character lost"
    if strangers(text, r, common):
        return "strangers"
    if known(gram_hashes(text), table):
        return "in the measuring data"
    return ""


_state: dict[str, object] = {}


def _start(teacher: str, grams: str | None) -> None:
    _state["tokenizer"] = read_tokenizer(teacher)
    _state["common"] = known_words(_state["tokenizer"])
    _state["table"] = np.load(grams) if grams else np.zeros(0, np.uint64)


def clean_shard(job: tuple[str, int]) -> tuple[str, list[tuple[dict, np.ndarray]], Counter]:
    """Texts of a raw shard that have no fault of their own, each with a sample of its 13-gram hashes."""
    path, seed = job
    shard = np.load(path)
    offsets, tokens = shard["offsets"], shard["tokens"]
    texts = _state["tokenizer"].decode_batch([tokens[a:b].tolist() for a, b in zip(offsets, offsets[1:])], skip_special_tokens=False)
    kept, reasons = [], Counter()
    for index, text in zip(shard["index"].tolist(), texts, strict=True):
        request = draw(seed, index)
        story, *later = text.translate(PLAIN).split("<|im_end|>")
        story = tidy(story, request.form)
        reason = fault(story, request, _state["table"], _state["common"])
        reasons[reason or "kept"] += 1
        if reason:
            continue
        summary = later[1].split("assistant\n")[-1].strip() if len(later) > 1 else later[0].split("assistant\n")[-1].strip() if later else ""
        if summary and (not summary.isascii() or summary[-1] not in '.!?"' or not 15 <= len(summary.split()) <= 60 or META.search(summary) or PREACHING.search(summary)):
            summary = ""
        hashes = gram_hashes(story)
        kept.append(({"index": index, "text": story, "summary": summary}, hashes[hashes % np.uint64(16) == 0]))
    return path, kept, reasons


def follow(folder: Path, pattern: str, wait: bool):
    """Files of a folder as they appear, until a file `done` stands there (all are yielded first)."""
    seen: set[Path] = set()
    while True:
        last = not wait or (folder / "done").exists()
        for path in sorted(set(folder.glob(pattern)) - seen):
            if ".tmp" not in path.name:
                seen.add(path)
                yield path
        if last:
            return
        time.sleep(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--grams", help="hashes of stage `overlap`")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--follow", action="store_true")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    seen: set[int] = set()
    reasons: Counter = Counter()
    size = 0
    with multiprocessing.get_context("spawn").Pool(args.workers, _start, (args.teacher, args.grams)) as pool:
        jobs = ((str(path), args.seed) for path in follow(args.raw, "raw-*.npz", args.follow))
        for path, kept, counts in pool.imap_unordered(clean_shard, jobs):
            reasons += counts
            name = args.out / f"clean-{Path(path).stem[4:]}.jsonl"
            with open(name.with_suffix(".tmp"), "w") as file:
                for record, sample in kept:
                    hashes = sample.tolist()
                    if hashes and sum(h in seen for h in hashes) > 0.3 * len(hashes):
                        reasons["duplicate"] += 1
                        reasons["kept"] -= 1
                        continue
                    seen.update(hashes)
                    size += len(record["text"])
                    file.write(json.dumps(record) + "\n")
            os.replace(name.with_suffix(".tmp"), name)
            print(f"filter: {sum(reasons.values())} texts, {size / 1e6:.1f} MB kept; {dict(reasons.most_common())}", flush=True)
    (args.out / "done").touch()


if __name__ == "__main__":
    main()

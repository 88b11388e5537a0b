"""Stage `questions`: held-out requests for `answer.mjs`.

    python -m story.questions --count 200 --out data/questions.jsonl        that name a character and an object, to be judged by
    python -m story.questions --count 600 --scripts --out data/scripts.jsonl     with their scripts, for the teacher

Training drew its requests with seeds 1 (the teacher's texts) and 3 (`polish`, which looked at its progress on seed 99); SEED is another.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from .generate import SYSTEM
from .render import ask
from .requests import Request, draw, teacher_prompt

SEED = 20261127


def stories(seed: int):
    """All requests for stories, in order."""
    index = 0
    while True:
        r = draw(seed, index)
        if r.form == "story":
            yield r
        index += 1


def question(seed: int, r: Request) -> dict:
    """Worded as if a story of ordinary length kept everything."""
    kept = f"{r.trait} {r.object_trait} {r.object} {r.place} " + "word " * 150 + r.object
    request = ask(r, kept, random.Random(f"{seed}/{r.index}"))
    return {"index": r.index, "messages": [{"role": "user", "content": request}], "name": r.name, "object": r.object}


def script(r: Request) -> dict:
    """What stage `generate` asks of the teacher, but for its guard against repetition."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": teacher_prompt(r)}]
    sampling = {"temperature": r.temperature, "minP": 0.05, "presencePenalty": 0.1, "seed": r.index}
    return {"index": r.index, "messages": messages, "parts": [vars(part) for part in r.parts], "sampling": sampling}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--scripts", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    drawn = [r for r, _ in zip(stories(args.seed), range(args.count))]
    rows = [script(r) if args.scripts else question(args.seed, r) for r in drawn]
    args.out.write_text("".join(json.dumps(row) + "\n" for row in rows))
    print(f"questions: {len(rows)} of seed {args.seed}")


if __name__ == "__main__":
    main()

"""Stage `scripts`: the given sentences of requests alone, as texts of stage `filter` would be. For dry runs without a teacher.

    python -m story.scripts --out data/clean --count 3000
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from .requests import draw


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with open(args.out / "clean-scripts.jsonl", "w") as file:
        for index in range(args.count):
            request = draw(args.seed, index)
            text = "".join(part.text for part in request.parts)
            summary = "".join(part.text for part in request.summary) + " all was well." if request.summary else ""
            file.write(json.dumps({"index": index, "text": text, "summary": summary}) + "\n")


if __name__ == "__main__":
    main()

"""Requests around documents that people wrote: `eagle.generate --documents FILE`, a file of `eagle.gather`. Answers are the target's own, as always.

    python -m eagle.reading FILE --count 20       shows some

The document is given with the request; nothing else of it is learnt. Questions about documents are asked by the target itself, or by templates.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
from collections import Counter, defaultdict, deque
from functools import lru_cache
from pathlib import Path

from . import words
from .prompts import Chat, Prompt, Told, fill

SHORT = 256  # tokens of an answer about a document


@lru_cache
def documents(path: Path) -> dict[str, dict[str, list[dict]]]:
    """Documents by kind and source."""
    found: dict[str, dict[str, list[dict]]] = defaultdict(lambda: defaultdict(list))
    with gzip.open(path, "rt") as file:
        for line in file:
            row = json.loads(line)
            found[row["kind"]][row["source"]].append(row)
    return {kind: dict(sources) for kind, sources in found.items()}


class Reading(Chat):
    """Those of `Chat`, and somewhat more again about documents."""

    SHARES = {"invented": 26, "question": 22, "code": 10, "sum": 16, "text": 8, "documents": 8, "language": 3, "from-language": 5} | {
        "reading": 34, "passages": 28, "asking": 4, "name": 12, "foreign": 8, "edit": 28, "raw": 10,
    }  # fmt: skip

    def __init__(self, seed: str, path: Path):
        super().__init__(seed)
        self.library = documents(path)
        self.all = {kind: [row for rows in sources.values() for row in rows] for kind, sources in self.library.items()}
        self.asked: deque[tuple[str, dict]] = deque(maxlen=3000)  # questions of the target, and what they are about

    def hear(self, told: Told) -> None:
        super().hear(told)
        if told.prompt.kind == "asking":
            for question in re.findall(r"(?:^|[.\d\"*:]\s+|\n)([A-Z][^.?!\n\"]{12,140}\?)", told.answer)[:3]:
                self.asked.append((question, told.prompt.about))

    def document(self, kind: str) -> dict:
        """Any: sources count by their characters, since documents are of about one size."""
        return self.rng.choice(self.all[kind])

    def piece(self, text: str, most: int) -> str:
        """Whole paragraphs or sentences from anywhere in `text`, about `most` characters at most."""
        starts = [0] + [match.end() for match in re.finditer(r"\n\n", text) if match.end() < len(text) - most]
        return self.part(text[self.rng.choice(starts) :], most)

    def ready(self, kind: str) -> bool:
        needs = {"reading": "prose", "asking": "prose", "passages": "prose", "name": "names", "foreign": "foreign", "edit": "code", "raw": "code"}
        return super().ready(kind) and (kind not in needs or needs[kind] in self.all) and (kind != "passages" or len(self.asked) > 3)

    def reading(self) -> Prompt:
        rng, document = self.rng, self.document("prose")
        form = rng.choice(words.ON_A_TEXT[:7] if rng.random() < 0.55 else words.ON_A_TEXT)
        most = rng.choice((120, 250)) if "{language}" in form else rng.choice((900, 2200, 3500, 4500))
        return Prompt("reading", fill(form, rng, text=self.piece(document["text"], most)), most=SHORT)

    def asking(self) -> Prompt:
        document = self.document("prose")
        passage = document | {"text": self.piece(document["text"], self.rng.choice((400, 700, 1200)))}
        return Prompt("asking", fill(self.rng.choice(words.ASKS_A_QUESTION), self.rng, text=f"{passage['title']}\n\n{passage['text']}"), about=passage, most=96)

    def passages(self) -> Prompt:
        """A question of the target with the passage that it is about, in any place among others of the same source."""
        rng = self.rng
        question, about = rng.choice(self.asked)
        source, size = self.library["prose"][about["source"]], rng.choice((350, 600, 900))
        told = [self.part(about["text"], size)] if rng.random() < 0.8 else []
        titles = [about["title"]] * len(told)
        for _ in range(rng.randint(1, max(2, 4000 // size))):
            other = about if rng.random() < 0.2 else rng.choice(source)
            place = rng.randint(0, len(told))
            told.insert(place, self.piece(other["text"], size))
            titles.insert(place, other["title"])
        number = rng.choice(("Document {n}: ", "[{n}] ", "Passage {n}:\n", "{t}\n", "Title: {t}\n", "({t}) ", ""))
        joined = "\n\n".join(number.format(n=n + 1, t=title) + text for n, (title, text) in enumerate(zip(titles, told, strict=True)))
        return Prompt("passages", fill(rng.choice(words.ON_TEXTS + words.ON_PASSAGES), rng, documents=joined, question=self.worded(question)), most=SHORT)

    def worded(self, question: str) -> str:
        """A question, half of the time as people type it."""
        return question if self.rng.random() < 0.5 else question.rstrip("?").lower()

    def name(self) -> Prompt:
        """A question about a person, place, work or event, or one of the target's without its passage."""
        rng = self.rng
        if self.asked and rng.random() < 0.4:
            return Prompt("name", self.worded(rng.choice(self.asked)[0]), most=SHORT)
        named = self.document("names") if rng.random() < 0.8 else self.document("prose")
        name, sort = (named["text"], named["title"]) if named["kind"] == "names" else (named["title"], "thing")
        return Prompt("name", self.worded(rng.choice(words.ON_NAMES[sort]).format(name=name)), most=SHORT)

    def foreign(self) -> Prompt:
        document = self.document("foreign")
        text = self.piece(document["text"], self.rng.choice((120, 200, 300)))
        return Prompt("foreign", fill(self.rng.choice(words.FROM_A_LANGUAGE[:2]), self.rng, text=text, language=document["language"]), most=SHORT)

    def edit(self) -> Prompt:
        rng, document = self.rng, self.document("code")
        code, form = document["text"], rng.choice(words.EDITS)
        names = [name for name in set(re.findall(r"\b[a-z_]{3,}\b", code)) if code.count(name) > 2] or [document["title"]]
        task = form.format(name=rng.choice(sorted(names)), new=rng.choice(words.NEW_NAMES), language=rng.choice(words.CODE_LANGUAGES), function=document["title"])
        fence = f"```{rng.choice(('python', '')) if 'def ' in code or 'class ' in code else 'javascript'}\n{code}\n```" if rng.random() < 0.6 else code
        return Prompt("edit", f"{task}\n\n{fence}" if rng.random() < 0.7 else f"{fence}\n\n{task}", most=400)

    def raw(self) -> Prompt:
        """The beginning of a function, without a chat around it."""
        code = self.document("code")["text"]
        said = re.search(r"(\"{3}|'{3}).*?\1[ ]*\n", code, re.DOTALL)  # a docstring
        lines = code.splitlines(keepends=True)
        text = code[: said.end()] if said and self.rng.random() < 0.7 else "".join(lines[: self.rng.randint(1, max(1, len(lines) // 2))])
        return Prompt("raw", text, raw=True, most=200)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", type=Path)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--kinds", action="store_true", help="say only how many there are of each kind")
    args = parser.parse_args()
    chat, kinds = Reading("1", args.documents), Counter()
    for _ in range(args.count):
        prompt = chat.next()
        kinds[prompt.kind] += 1
        if not args.kinds:
            print(f"{prompt.kind}: {prompt.text}")
        chat.hear(Told(prompt, "Here are some.\n1. What does this text say about it?\n2. Who wrote this text?\nThey are easy." if prompt.kind == "asking" else prompt.text))
    print(f"reading: {', '.join(f'{count} {kind}' for kind, count in kinds.items())}")


if __name__ == "__main__":
    main()

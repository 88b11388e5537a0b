"""What the target is asked. Nothing comes from outside: lists of our own, turns that the target invents, and texts that it wrote.

    python -m eagle.prompts --count 20        shows some (without an own text of the target, so without the kinds that need one)

reading.py adds requests around documents that people wrote.
"""

from __future__ import annotations

import argparse
import random
from collections import deque
from dataclasses import dataclass

from story.requests import draw
from story.render import ask
from story.words import NAMES

from . import words

KINDS = (
    "invented", "question", "code", "sum", "text", "documents", "language", "from-language", "story",
    "reading", "passages", "asking", "name", "foreign", "edit", "raw",
)  # fmt: skip


@dataclass(frozen=True)
class Prompt:
    kind: str
    text: str  # empty: the target invents the request
    language: str = ""  # that the answer is asked to be in, where it is not English
    about: dict | None = None  # the passage that a question is wanted about
    most: int = 0  # tokens of the answer; 0: as many as any answer may have
    raw: bool = False  # no chat around it


@dataclass(frozen=True)
class Told:
    """A finished answer of the target."""

    prompt: Prompt
    answer: str


def fill(form: str, rng: random.Random, **fields: object) -> str:
    topics, people = rng.sample(words.TOPICS, 3), rng.sample(words.PEOPLE, 2)
    mine = people[0].replace("my grandmother", "a grandmother")
    given = {
        "topic": topics[0], "topic2": topics[1], "topic3": topics[2], "person": people[0], "person2": people[1], "person_is": mine,
        "style": rng.choice(words.STYLES), "form": rng.choice(words.FORMS), "language": rng.choice(words.LANGUAGES),
    }  # fmt: skip
    return form.format(**given | fields).strip()


class Chat:
    """Requests of many kinds for an assistant."""

    SHARES = {"invented": 37, "question": 14, "code": 9, "sum": 8, "text": 13, "documents": 10, "language": 3, "from-language": 6}
    FOLLOW_UP = 0.12  # of the answers

    def __init__(self, seed: str):
        self.rng = random.Random(seed)
        self.english: deque[Told] = deque(maxlen=3000)
        self.foreign_told: deque[Told] = deque(maxlen=500)

    def hear(self, told: Told) -> None:
        if told.prompt.language:
            self.foreign_told.append(told)
        elif len(told.answer) > 80:
            self.english.append(told)

    def part(self, text: str, most: int) -> str:
        """Whole paragraphs or sentences from the start of `text`, about `most` characters at most."""
        if len(text) > most:
            cut = max(text.rfind("\n\n", 0, most), text.rfind(". ", 0, most) + 1)
            text = text[: cut if cut > 0 else most]
        return text.strip()

    def next(self) -> Prompt:
        rng = self.rng
        kind = rng.choices(list(self.SHARES), list(self.SHARES.values()))[0]
        kind = kind if self.ready(kind) else "question"
        made = getattr(self, kind.replace("-", "_"))()
        return made if isinstance(made, Prompt) else Prompt(kind, *made)

    def ready(self, kind: str) -> bool:
        """Whether there are answers enough for a request of a kind."""
        return len(self.english) >= 4 if kind in ("text", "documents") else bool(self.foreign_told) if kind == "from-language" else True

    def invented(self) -> tuple[str]:
        return ("",)

    def question(self) -> tuple[str]:
        return (fill(self.rng.choice(words.ASKS), self.rng),)

    def code(self) -> tuple[str]:
        name, args, result = self.rng.choice(words.FUNCTIONS).split(" | ")
        return (self.rng.choice(words.CODE_ASKS).format(name=name, args=args, result=result, language=self.rng.choice(words.CODE_LANGUAGES)),)

    def sum(self) -> tuple[str]:
        rng = self.rng
        n, m = rng.sample(NAMES, 2)
        numbers = {"a": rng.randint(2, 15), "b": rng.randint(2, 60), "c": rng.randint(2, 30), "big": rng.randint(40, 500), "p": rng.choice((5, 10, 20, 25, 40, 60))}
        return (rng.choice(words.SUMS).format(n=n, m=m, things=rng.choice(words.THINGS), **numbers) + rng.choice(words.SUM_ENDS),)

    def text(self) -> tuple[str]:
        form = self.rng.choice(words.ON_A_TEXT)
        if "{language}" in form:
            return (fill(form, self.rng, text=self.part(self.rng.choice(self.english).answer, self.rng.choice((120, 300)))),)
        most = self.rng.choice((300, 900, 2200, 4000))
        told = self.rng.sample(self.english, 1 + most // 1500)  # a long text is of several
        return (fill(form, self.rng, text=self.part("\n\n".join(other.answer for other in told), most)),)

    def documents(self) -> tuple[str]:
        rng = self.rng
        told, most = rng.sample(self.english, rng.randint(2, 4)), rng.choice((1200, 2400, 4000))
        asked = [other for other in told if other.prompt.text and len(other.prompt.text) < 200]
        question = rng.choice(asked).prompt.text if asked else fill("What do these texts say about {topic}?", rng)
        number = rng.choice(("Document {}: ", "[{}] ", "Passage {}:\n", ""))
        documents = "\n\n".join(number.format(i + 1) + self.part(other.answer, most // len(told)) for i, other in enumerate(told))
        return (fill(rng.choice(words.ON_TEXTS), rng, documents=documents, question=question),)

    def language(self) -> tuple[str, str]:
        language = self.rng.choice(words.LANGUAGES)
        return fill(self.rng.choice(words.IN_A_LANGUAGE), self.rng, language=language), language

    def from_language(self) -> tuple[str]:
        told = self.rng.choice(self.foreign_told)
        text = self.part(told.answer, self.rng.choice((120, 300)))
        return (fill(self.rng.choice(words.FROM_A_LANGUAGE), self.rng, text=text, language=told.prompt.language),)

    def follow_up(self) -> str | None:
        """A request after an answer: None for none, empty for one that the target invents."""
        if self.rng.random() > self.FOLLOW_UP:
            return None
        return "" if self.rng.random() < 0.5 else fill(self.rng.choice(words.AFTERWARDS), self.rng)


class Stories:
    """Requests for stories, as espalier-tiny understands them."""

    def __init__(self, seed: str):
        self.seed, self.index = seed, 0

    def hear(self, told: Told) -> None:
        pass

    def next(self) -> Prompt:
        r = draw(f"eagle/{self.seed}", self.index)
        self.index += 1
        rng = random.Random(f"{self.seed}/{self.index}")
        kept = f"{r.trait} {r.object_trait} {r.object} {r.place} " + "word " * rng.choice((60, 100, 180, 250)) + r.object
        return Prompt("story", ask(r, kept, rng))

    def follow_up(self) -> str | None:
        return None


SOURCES = {"chat": Chat, "stories": Stories}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", choices=SOURCES, default="chat")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--count", type=int, default=20)
    args = parser.parse_args()
    source = SOURCES[args.source](args.seed)
    for _ in range(args.count):
        prompt = source.next()
        print(f"{prompt.kind}: {prompt.text}")


if __name__ == "__main__":
    main()

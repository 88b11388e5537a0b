"""How a story becomes a conversation to learn from: the request is worded after what the story kept.

A request never asks for what the story did not do: the object is named only where it is there to the end, the place only where
it occurs. So the student learns to keep its word better than its teacher did.
"""

from __future__ import annotations

import random
import re

from . import words
from .filter import last_third
from .requests import Request, article

HELD_OUT = 200  # one request in so many is never trained on

ASKS = [
    "Write a {mood}story about {who} and {what}{place}{plot}.",
    "Write a {mood}story about {who} and {what}{place}{plot}.",
    "Tell me a {mood}story about {who} and {what}{place}{plot}.",
    "Tell me a {mood}story about {who}{place}{plot}. There should be {what} in it.",
    "Please write a {mood}story about {who} with {what}{place}{plot}.",
    "I would like a {mood}story about {who} and {what}{place}{plot}.",
    "Can you tell a {mood}story about {who} who has {what}{place}?{Plot}",
    "A {mood}story about {who} and {what}{place}, please.{Plot}",
    "Story: {who}, {what}{place}{plot}.",
    "Make up a {mood}story about {who} and {what}{place}{plot}.",
]
ASKS_FREE = [
    "Write a {mood}story about {who}{place}{plot}.",
    "Tell me a {mood}story about {who}{place}{plot}.",
    "I want to hear about {who}{place}{plot}.",
    "Can you tell a {mood}story about {who}{place}?{Plot}",
    "A {mood}story about {who}{place}, please.{Plot}",
]
BARE = ["Tell me a story.", "Write a short story.", "A story, please.", "Once upon a time", "Surprise me with a story.", "Tell me something."]
SYSTEMS = ["You are a storyteller.", "You tell short stories in simple English.", "You are a helpful assistant.", "You write stories for children."]
SUM_UPS = ["Tell this story again in two sentences.", "Sum up this story in two sentences.", "Summarize the story in two sentences."]


def ask(r: Request, text: str, rng: random.Random) -> str:
    """A request that `text` fulfils."""
    chance = rng.random
    kind = f"{r.trait} {r.kind}" if r.trait in text and chance() < 0.6 else r.kind
    who = f"{article(kind)} named {r.name}" if chance() < 0.8 else f"{r.name} the {kind}"
    thing = f"{r.object_trait} {r.object}".strip() if r.object_trait in text and chance() < 0.6 else r.object
    keeps = r.object in last_third(text)
    plot = f" {r.name} {r.plot}." if keeps and chance() < 0.3 else ""
    length = len(text.split())
    size = "very short " if length < 80 else "short " if length < 160 else "long " if length > 220 else ""
    fields = {
        "who": who, "what": article(thing), "place": f" {r.place}" if r.place in text.lower() and chance() < 0.5 else "",
        "plot": "." + plot.removesuffix(".") if plot else "", "Plot": plot,
        "mood": (f"{r.mood} " if chance() < 0.25 else "") + (size if chance() < 0.4 else ""),
    }  # fmt: skip
    text = rng.choice(ASKS if keeps else ASKS_FREE).format(**fields)
    return re.sub(r"\ba(?= [aeiou])", "an", text)


def conversation(r: Request, text: str, summary: str, rng: random.Random) -> list[tuple[str, str]]:
    """(role, content) pairs; a lone ("text", …) is a story without a conversation."""
    form = rng.random()
    sentences = re.split(r"(?<=[.!?]) (?=[A-Z\"])", text.split("\n")[0])
    if r.form == "dialogue":
        about = f"{r.name} the {r.kind} and {r.helper_name} the {r.helper} about {article(r.object)}"
        turns = [("user", f"{rng.choice(('Write a short dialogue between', 'Write a dialogue between', 'Let us hear a talk between'))} {about}."), ("assistant", text)]
    elif form < 0.08:
        return [("text", text)]
    elif form < 0.14:
        turns = [("user", f'{rng.choice(("Write a story that begins with", "Begin a story with", "Start with"))}: "{sentences[0]}"'), ("assistant", text)]
    elif form < 0.22 and len(text) > 400:
        cut = text.find(". ", rng.randint(60, len(text) // 2)) + 1
        turns = [("user", f"{rng.choice(('Continue this story', 'Go on with this story', 'How does this story go on?'))}:\n\n{text[:cut].strip()}"), ("assistant", text[cut:].strip())]
    elif form < 0.25:
        turns = [("user", rng.choice(BARE)), ("assistant", text)]
    elif form < 0.27:
        question = rng.choice(words.ASIDES).format(
            country=rng.choice(words.COUNTRIES), number=rng.randint(2, 99), number2=rng.randint(2, 99), object=rng.choice(words.OBJECTS), animal=rng.choice(words.ANIMALS)
        )  # fmt: skip
        turns = [("user", question), ("assistant", f"{rng.choice(words.ASIDE_REPLIES)}\n\n{text}")]
    else:
        turns = [("user", ask(r, text, rng)), ("assistant", text)]
    if summary:
        if rng.random() < 0.5:
            turns = [("user", f"{rng.choice(SUM_UPS)}\n\n{text}"), ("assistant", summary)]
        else:
            turns = [*turns, ("user", rng.choice(SUM_UPS)), ("assistant", summary)]
    if rng.random() < 0.12:
        turns = [("system", rng.choice(SYSTEMS)), *turns]
    return turns


def held_out(index: int) -> bool:
    return index % HELD_OUT == 7



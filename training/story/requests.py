"""Stage `requests`: what to tell a story about. Request number i of a seed is always the same, so no file is needed.

A request carries a *script*: sentences of our own (the opening, the turn, the way out, the last sentence) between which the
teacher writes freely. A model of 135M parameters left alone for 300 words wanders or repeats itself; between sentences
that say what happens it does not.

    python -m story.requests --count 5
"""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass

from . import words


@dataclass(frozen=True)
class Part:
    """`text` is given; then the teacher writes at least `free` tokens, up to the end of a sentence (0: nothing)."""

    text: str
    free: int


@dataclass(frozen=True)
class Request:
    index: int
    form: str  # "story" or "dialogue"
    name: str
    kind: str
    trait: str
    place: str
    object: str
    object_trait: str  # may be empty
    mood: str
    plot: str
    helper: str
    helper_name: str
    temperature: float
    parts: tuple[Part, ...]
    summary: tuple[Part, ...]  # a second turn that sums the story up, or empty


def article(noun: str) -> str:
    """`noun` with "a" or "an"; the lists hold no other exceptions."""
    return ("an " if noun[0].lower() in "aeiou" and not noun.startswith(("unicorn", "useful")) or noun.startswith("honest") else "a ") + noun


def capital(text: str) -> str:
    return text[0].upper() + text[1:]


def draw(seed: int, index: int) -> Request:
    rng = random.Random(f"{seed}/{index}")
    pick = rng.choice
    name, helper_name = rng.sample(words.NAMES, 2)
    kind, helper = rng.sample(words.KINDS, 2)
    trait, place, mood = pick(words.TRAITS), pick(words.PLACES), pick(words.MOODS)
    thing, thing_trait = pick(words.OBJECTS), pick(words.OBJECT_TRAITS) if rng.random() < 0.6 else ""
    time, time2 = rng.sample(words.TIMES, 2)
    fields = {
        "name": name, "Name": name, "kind": kind, "trait": trait, "place": place, "Place": capital(place),
        "a_character": article(f"{trait} {kind}" if rng.random() < 0.7 else kind),
        "an_object": article(f"{thing_trait} {thing}".strip()), "Time": time, "Time2": time2,
        "n": name, "h": helper_name, "o": f"the {thing}", "O": f"The {thing}", "thing": thing,
        "intro": f"{article(helper)} named {helper_name}", "intro_cap": capital(f"{article(helper)} named {helper_name}"),
    }  # fmt: skip
    clause, turns, outs, fate = pick(words.PLOTS)
    turn, out, closing = pick(turns.split(" ; ")), pick(outs.split(" ; ")), pick(words.CLOSINGS[fate])
    # A turn and a way out that both introduce the helper, or a later "{h}" before any introduction, would read badly.
    known = "{intro" in turn
    if known:
        out = out.replace("{intro_cap}", "{h}").replace("{intro}", "{h}")
    elif "{h}" in out:
        out = out.replace("{h}", "{intro}", 1)
    if "{h}" in closing and not known and "{intro" not in out:
        closing = "Sometimes {n} still thought of {o} and smiled."
    say = lambda text: text.format(**fields)  # noqa: E731
    opening = say(pick(words.FIRST)) + " " + say(pick(words.SECOND))
    summary: tuple[Part, ...] = ()
    if rng.random() < 0.06:
        form, lines = "dialogue", rng.randint(3, 6)
        starts = say(f"{name} the {kind} and {helper_name} the {helper} {pick(words.TOGETHER)} {{an_object}}.\n\n{name}: {pick(words.DIALOGUE_STARTS)}")
        speakers = [(helper_name, name)[line % 2] for line in range(lines)]
        parts = [Part(starts + f"\n{speakers[0]}:", 4)] + [Part(f"\n{speaker}:", 4) for speaker in speakers[1:]]
        last = (helper_name, name)[lines % 2]
        fields["h"] = helper_name if last == name else name
        parts.append(Part(f"\n{last}: " + say(pick(words.DIALOGUE_ENDS)), 0))
    else:
        form = "story"
        size = rng.choice((0.5, 0.8, 1.2, 1.7))
        gap = " " if size < 0.6 else "\n\n"
        free = lambda low, high: int(rng.randint(low, high) * size)  # noqa: E731
        end = Part(gap + say(closing), 0)
        if closing.endswith("..."):
            end = Part(gap + say(closing).removesuffix(" ..."), 3)
        parts = [Part(opening, free(20, 50)), Part(gap + say(turn), free(25, 60)), Part(gap + say(out), free(15, 40)), end]
        if rng.random() < 0.06:
            first = f"{name}, {article(f'{trait} {kind}')}, {say(clause)}."
            summary = (Part(f"{first} In the end,", 3),)
    return Request(
        index, form, name, kind, trait, place, thing, thing_trait, mood, say(clause), helper, helper_name,
        round(rng.uniform(0.7, 0.9), 2), tuple(parts), summary,
    )  # fmt: skip


def teacher_prompt(r: Request) -> str:
    if r.form == "dialogue":
        return f"Write a dialogue for children in simple words between {r.name} the {r.kind} and {r.helper_name} the {r.helper} about {article(r.object)}."
    return (
        f"Write a {r.mood} story for children in simple words about {article(f'{r.trait} {r.kind}')} named {r.name} who {r.plot}. "
        f"It has short sentences and happens {r.place}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=5)
    args = parser.parse_args()
    for index in range(args.count):
        request = draw(args.seed, index)
        print(f"{index}: {teacher_prompt(request)}")
        print("   " + "".join(part.text + (f" …{part.free}… " if part.free else "") for part in request.parts).replace("\n", "\n   "))


if __name__ == "__main__":
    main()

"""How the target's own chat template wraps turns, as token ids around what is said."""

from __future__ import annotations

from dataclasses import dataclass

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from .target import Target

MARKS = ["@first@", "@answer@", "@second@"]


def raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)


@dataclass(frozen=True)
class Wrapping:
    """A conversation is `before` + request + `between` + answer + `again` + request + `between` + answer …; answers end with a stop token,
    which is the first of `again`."""

    before: list[int]
    between: list[int]
    again: list[int]
    stops: list[int]


def render(template: str, messages: list[dict], prompt: bool = True) -> str:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = raise_exception
    return environment.from_string(template).render(messages=messages, add_generation_prompt=prompt, bos_token="", eos_token="")


def wrapping(target: Target, tokenizer) -> Wrapping:
    turns = [{"role": role, "content": mark} for role, mark in zip(("user", "assistant", "user"), MARKS, strict=True)]
    before, rest = render(target.template, turns).split(MARKS[0])
    middle, rest = rest.split(MARKS[1])
    again, end = rest.split(MARKS[2])
    prompt = render(target.template, turns[:1]).split(MARKS[0])[1]
    if end != prompt or not prompt.startswith(middle):
        raise ValueError(f"the chat template of {target.name!r} words a second request in another way than the first")
    encode = lambda text: tokenizer.encode(text).ids  # noqa: E731
    stops = {encode(again)[0]} | {token for token in (tokenizer.token_to_id("<|endoftext|>"),) if token is not None}
    return Wrapping(encode(before), encode(prompt), encode(again), sorted(stops))

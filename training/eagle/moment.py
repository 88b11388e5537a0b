"""The vocabulary of the moment: what a head with text rows can guess beside its own tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .target import Target


@dataclass
class Moment:
    """Tokens of some texts for which a head has no row of its own, and from where on it can guess them."""

    others: torch.Tensor  # [others] tokens
    rows: torch.Tensor  # [others, hidden] the target's output rows of these
    known: torch.Tensor  # [texts, rows, others] whether the text has them up to the token of a head's row


def moment(target: Target, draft_vocab: torch.Tensor, texts: torch.Tensor, text_rows: bool = True) -> Moment:
    """Of texts [texts, length]; a head has a row for every token but the first. Without `text_rows` there are no others."""
    own = torch.full((target.shape.vocab,), not text_rows, device=texts.device)
    own[draft_vocab.to(texts.device)] = True
    tokens = texts[:, 1:]
    text, row = (~own[tokens]).nonzero(as_tuple=True)
    others, place = tokens[text, row].unique(return_inverse=True)
    first = torch.full((len(texts), len(others)), tokens.shape[1], device=texts.device)
    first.view(-1).scatter_reduce_(0, text * len(others) + place, row, "amin")
    rows = torch.arange(tokens.shape[1], device=texts.device)
    return Moment(others, target.output[others.to(target.device)], rows[:, None] >= first[:, None])

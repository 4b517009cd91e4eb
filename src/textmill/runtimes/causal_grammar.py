"""Tokens that a grammar allows, by llguidance, which is an extra of its own."""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np
import torch  # noqa: TID253 - one of the files that own the framework
from torch import Tensor as Array  # noqa: TID253 - as above

from textmill.errors import ExtraMissing, ForwardFailed, InvalidInput


class Grammar:
    """How far a text has come in a grammar."""

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher

    def copy(self) -> Grammar:
        """Another text of the same grammar, as far as this one."""
        return Grammar(self._matcher.deep_copy())

    def allow(self, scores: Array) -> None:
        """Put minus infinity at all tokens that may not come next. Raises ForwardFailed where the grammar outgrew its limits."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        if self._matcher.is_error():
            msg = f"the grammar cannot be followed further: {_first_line(self._matcher.get_error())}"
            raise ForwardFailed(msg)
        allowed = np.unpackbits(bits, bitorder="little")[: len(scores)].astype(bool)
        scores[: len(allowed)].masked_fill_(torch.from_numpy(~allowed).to(scores.device), -torch.inf)
        scores[len(allowed) :] = -torch.inf

    def take(self, token: int) -> bool:
        """Go on by a token; whether nothing may follow."""
        self._matcher.consume_token(token)
        return bool(self._matcher.is_stopped())


class Grammars:
    """Compiles grammars for one tokenizer, whose JSON that is; ``vocabulary`` is the width of the logits."""

    def __init__(self, tokenizer: str, vocabulary: int, ends: frozenset[int]) -> None:
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._ends = sorted(ends)
        self._lock = Lock()
        self._known: Any = None

    def compile(self, text: str) -> Grammar:
        """A grammar in llguidance's words. Raises InvalidInput with what is wrong in it, ExtraMissing."""
        try:
            import llguidance  # noqa: PLC0415 - an extra
        except ImportError as error:
            msg = "JSON, grammars and required calls need the package llguidance: pip install 'textmill[transformers]'"
            raise ExtraMissing(msg) from error
        with self._lock:
            if self._known is None:  # takes a second for a large vocabulary
                self._known = llguidance.LLTokenizer(
                    self._tokenizer, n_vocab=self._vocabulary, eos_token=self._ends or None
                )
        matcher = llguidance.LLMatcher(self._known, text, log_level=0)
        if matcher.is_error():
            msg = f"the grammar cannot be used: {_first_line(matcher.get_error())}"
            raise InvalidInput(msg, param="response_format")
        return Grammar(matcher)


def _first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "it says nothing")

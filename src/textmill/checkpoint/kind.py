"""What a kind of model can answer, and what its tasks need to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textmill.arch.heads import Head, Output
from textmill.contract import Scoring
from textmill.errors import ModelBroken


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes that logits score.

    ``labels`` are in the order of the logits, None where no file names them; ``scoring`` of None goes by their number.
    """

    labels: tuple[str, ...] | None
    scoring: Scoring | None = None

    def named(self, count: int, tensor: str) -> tuple[str, ...]:
        """The labels of ``count`` scores, which ``tensor`` makes; raises ModelBroken where config.json has others."""
        if self.labels is None:
            return tuple(f"LABEL_{index}" for index in range(count))
        if len(self.labels) != count:
            msg = (
                f"config.json names {len(self.labels)} labels (id2label), but {tensor} tensor makes {count} "
                "scores; they do not belong together"
            )
            raise ModelBroken(msg)
        return self.labels

    def score(self, count: int) -> Scoring:
        """How scores are made of ``count`` logits where a call does not say: one stands on its own, several share 1."""
        return self.scoring or ("sigmoid" if count == 1 else "softmax")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a kind of model can answer.

    ``outputs`` has for each output the heads that lead to it from the token states, without the normalising at their end.
    ``head_folders`` are folders below the model's that hold the weights of heads. ``classes`` are those of its ``logits`` or
    ``token_logits``.
    """

    outputs: Mapping[Output, tuple[Head, ...]]
    head_folders: tuple[str, ...] = ()
    classes: Classes | None = None

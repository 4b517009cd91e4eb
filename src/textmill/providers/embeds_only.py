"""What providers have in common that embed texts by a protocol of their own and rank nothing."""

from __future__ import annotations

from typing import Any, NoReturn

from textmill.contract import Scoring
from textmill.errors import WrongTask
from textmill.providers.remote_dialect import RankPiece


class EmbedsOnly:
    """Refuses to rank; token ids are not in these protocols."""

    takes_ids = False
    scorings: tuple[Scoring, ...] = ()

    def rank(self, piece: RankPiece) -> NoReturn:
        """Refused."""
        self._refuse(piece.model)

    def scores(self, answer: Any, texts: int) -> NoReturn:
        """Refused."""
        del answer, texts
        self._refuse("the model")

    def _refuse(self, model: str) -> NoReturn:
        msg = f"{model} is on a server that ranks nothing"
        raise WrongTask(msg)

"""Measures how fast an embedder is on texts of known lengths, made from a seed."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from textmill.contract import Answered, EmbedOptions, Input

EmbedInputs = Callable[[Sequence[Input], EmbedOptions], Awaitable[Answered]]

_LENGTHS = (16, 128, 512)
_MEDIAN = 48
_SIGMA = 0.7
_SHORTEST = 4
_SPECIAL = 2
"""Tokens that models put around a text, as a rule; what a text really has is counted in the answer."""

_WARM_TEXTS = 32
_SECONDS = 2.5
_MOST_TEXTS = 20_000

# Everyday words, which nearly every vocabulary has whole: a text of n words has n tokens or few more.
_TEXT = """
about after again air all also always animal answer any around ask away back because been before began below best
better between big book both boy bring build call came can car carry change children city close come could country cut
day did different do door down each early earth eat end enough even every example eye face family far father feet few
find fire first follow food for form found four friend from gave get girl give go good great group grow had hand hard
has have head hear help her here high him his home horse house how idea if important in into it just keep kind king
know land large last late learn leave left let letter life light like line list little live long look love made make
man many may mean men might mile most mother mountain move much music must name near need never new next night no
north not now number of off often old on once one only open or order other our out over own page paper part people
piece place plan plant play point port question quick rain ran read real red rest right river road rock room rule run
said same saw say school science sea second see sentence set she ship short should show side sing sleep small snow
some song soon sound south stand star start state stay step still stop story street strong study such sun sure table
take talk teach tell ten than that the their them then there these they thing think this those thought three through
time to together too took town travel tree true turn two under until up us use very voice wait walk want war was watch
water way we week well went were west what when where which while white who why will wind with without wood word work
world would write year young your
"""
_WORDS = _TEXT.split()


@dataclass(frozen=True, slots=True)
class Workload:
    """Texts of one length in tokens, or with a ``length`` of 0 of a log-normal mix, at most ``longest``."""

    name: str
    length: int
    longest: int

    def texts(self, count: int, seed: int) -> list[str]:
        """That many texts, the same for the same seed."""
        chance = random.Random(seed)  # noqa: S311 - repeatable texts, no secret
        return [" ".join(chance.choices(_WORDS, k=max(1, self._draw(chance) - _SPECIAL))) for _ in range(count)]

    def _draw(self, chance: random.Random) -> int:
        length = self.length or round(chance.lognormvariate(math.log(_MEDIAN), _SIGMA))
        return min(max(length, _SHORTEST), self.longest)


@dataclass(frozen=True, slots=True)
class Throughput:
    """What was measured: tokens are counted by the model."""

    workload: str
    texts: int
    tokens: int
    seconds: float
    texts_per_s: float
    tokens_per_s: float


def workloads(max_tokens: int) -> list[Workload]:
    """The fixed lengths, those beyond the model's cut to it, and the mix."""
    lengths = dict.fromkeys(min(length, max_tokens) for length in _LENGTHS)
    return [*(Workload(str(length), length, max_tokens) for length in lengths), Workload("mixed", 0, max_tokens)]


def measure(embed: EmbedInputs, workload: Workload) -> Throughput:
    """Embed texts of a workload for a few seconds. All are different, so that none is answered from another's work."""
    options = EmbedOptions(prompt="")

    def run(count: int, seed: int) -> tuple[Answered, float]:
        texts = workload.texts(count, seed)
        start = time.perf_counter()
        made = asyncio.run(_all(embed, texts, options))
        return made, time.perf_counter() - start

    _, probe = run(_WARM_TEXTS, seed=0)
    count = max(_WARM_TEXTS, min(_MOST_TEXTS, round(_SECONDS / probe * _WARM_TEXTS)))
    made, seconds = run(count, seed=1)
    tokens = sum(made.tokens)
    return Throughput(workload.name, count, tokens, seconds, count / seconds, tokens / seconds)


async def _all(embed: EmbedInputs, texts: Sequence[str], options: EmbedOptions) -> Answered:
    return await embed(texts, options)

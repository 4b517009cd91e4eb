"""How the next token of a row is picked from its logits; the filters are those of transformers, in its order."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import torch  # noqa: TID253 - one of the files that own the framework
from torch import Tensor as Array  # noqa: TID253 - as above
from transformers.generation.logits_process import (  # noqa: TID253 - as above
    LogitsProcessor,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from textmill.contract import Sampling
from textmill.errors import ForwardFailed
from textmill.runtimes.causal_grammar import Grammar
from textmill.runtimes.writing import Choosing, Picked, Scored

_COLDEST = 1e-5
"""Temperatures below it take the likeliest token: dividing by them leaves nothing else."""


class Chooser:
    """Picks the tokens of one row, behind those of a ``prompt``. ``ends`` are the ids of ends of a text."""

    def __init__(self, choosing: Choosing, prompt: Sequence[int], ends: frozenset[int], device: torch.device) -> None:
        how = choosing.sampling
        self._how = how
        self._logprobs = choosing.logprobs
        self._grammar: Grammar | None = choosing.grammar
        self._free = choosing.free
        self._prompt = prompt
        self._written: list[int] = []
        self._counts: Counter[int] = Counter()
        self._banned = _ids(sorted(ends), device) if how.ignore_eos and ends else None
        self._bias = _pairs(how.logit_bias, device)
        self._repeats = RepetitionPenaltyLogitsProcessor(how.repeat_penalty) if _on(how.repeat_penalty, 1.0) else None
        self._greedy = (how.temperature or 0.0) < _COLDEST
        self._filters = [] if self._greedy else _filters(how)
        self._mu = 2 * (how.mirostat_tau or 0.0)
        self._seed = None if self._greedy else torch.Generator(device).manual_seed(how.seed or 0)

    @property
    def plain(self) -> bool:
        """Whether it takes the likeliest token as the model has it, and tells nothing of it."""
        return (
            self._greedy
            and self._logprobs is None
            and self._grammar is None
            and self._banned is None
            and self._bias is None
            and not self._penalised
        )

    @property
    def _penalised(self) -> bool:
        how = self._how
        return self._repeats is not None or bool(how.presence_penalty) or bool(how.frequency_penalty)

    def bind(self) -> None:
        """Let the grammar count from here on."""
        self._free = False

    def choose(self, logits: Array) -> Picked:
        """The next token by logits of shape (vocabulary,). Raises ForwardFailed where none is possible."""
        raw = logits.float()
        scores = self._shaped(raw.clone())
        if self._grammar is not None and not self._free:
            self._grammar.allow(scores)
        best = scores.max()
        if not torch.isfinite(best):
            msg = "no token can be picked: the logits are no numbers, or the grammar and the biases leave none"
            raise ForwardFailed(msg)
        picked = int(scores.argmax()) if self._greedy else self._drawn(scores)
        return self.take(picked, raw)

    def take(self, picked: int, raw: Array | None = None) -> Picked:
        """Count a token as picked."""
        if self._penalised:
            self._written.append(picked)
            self._counts[picked] += 1
        last = False
        if self._grammar is not None and not self._free:
            last = self._grammar.take(picked)
        if self._logprobs is None or raw is None:
            return Picked(picked, last=last)
        table = torch.log_softmax(raw, -1)
        values, ids = table.topk(min(self._logprobs, len(table)))
        top = tuple(Scored(id_, value) for id_, value in zip(ids.tolist(), values.tolist(), strict=True))
        return Picked(picked, Scored(picked, float(table[picked])), top, last=last)

    def _shaped(self, scores: Array) -> Array:
        """Penalties and biases, and the ends that may not be."""
        if self._penalised:
            scores = self._penalties(scores)
        if self._bias is not None:
            ids, values = self._bias
            scores[ids] += values
        if self._banned is not None:
            scores[self._banned] = -math.inf
        return scores

    def _penalties(self, scores: Array) -> Array:
        how = self._how
        if self._repeats is not None:
            seen = [*self._prompt, *self._written]
            back = how.repeat_last_n
            seen = seen if back is None or back < 0 else seen[len(seen) - min(back, len(seen)) :]
            if seen:
                scores = self._repeats(_ids(seen, scores.device)[None], scores[None])[0]
        if self._counts and (how.presence_penalty or how.frequency_penalty):
            counts = torch.tensor(list(self._counts.values()), dtype=scores.dtype, device=scores.device)
            loss = counts * (how.frequency_penalty or 0.0) + (how.presence_penalty or 0.0)
            scores[_ids(list(self._counts), scores.device)] -= loss
        return scores

    def _drawn(self, scores: Array) -> int:
        rows = scores[None]
        for each in self._filters:
            rows = each(None, rows)
        chances = torch.softmax(rows[0], -1)
        if not self._how.mirostat:
            return int(torch.multinomial(chances, 1, generator=self._seed))
        return self._surprising(chances)

    def _surprising(self, chances: Array) -> int:
        """Mirostat 2 (arXiv:2007.14966): tokens that surprise more than mu bits are left out, and mu follows what came."""
        ordered, ids = chances.sort(descending=True)
        bits = -torch.log2(ordered)
        kept = max(1, int((bits <= self._mu).sum()))
        place = int(torch.multinomial(ordered[:kept] / ordered[:kept].sum(), 1, generator=self._seed))
        tau, eta = self._how.mirostat_tau or 0.0, self._how.mirostat_eta or 0.0
        self._mu -= eta * (float(bits[place]) - tau)
        return int(ids[place])


def _filters(how: Sampling) -> list[LogitsProcessor]:
    made: list[LogitsProcessor] = []
    if _on(how.temperature, 1.0):
        made.append(TemperatureLogitsWarper(float(how.temperature or 1.0)))
    if how.mirostat:
        return made
    steps: tuple[tuple[bool, Callable[[], LogitsProcessor]], ...] = (
        (bool(how.top_k and how.top_k > 0), lambda: TopKLogitsWarper(how.top_k)),
        (how.top_p is not None and how.top_p < 1, lambda: TopPLogitsWarper(float(how.top_p or 0.0))),
        (bool(how.min_p), lambda: MinPLogitsWarper(float(how.min_p or 0.0))),
        (how.typical_p is not None and 0 < how.typical_p < 1, lambda: TypicalLogitsWarper(how.typical_p)),
    )
    return made + [make() for wanted, make in steps if wanted]


def _on(value: float | None, neutral: float) -> bool:
    return bool(value) and value != neutral


def _ids(ids: Sequence[int], device: torch.device) -> Array:
    return torch.tensor(ids, dtype=torch.long, device=device)


def _pairs(bias: Mapping[int, float], device: torch.device) -> tuple[Array, Array] | None:
    if not bias:
        return None
    values = torch.tensor(list(bias.values()), dtype=torch.float32, device=device)
    return _ids(list(bias), device), values

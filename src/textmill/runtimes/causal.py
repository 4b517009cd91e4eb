"""Text generation with models of transformers on PyTorch: prompts are read in parts, rows written together."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch  # noqa: TID253 - one of the files that own the framework
from torch import Tensor as Array  # noqa: TID253 - as above
from transformers.cache_utils import DynamicCache  # noqa: TID253 - as above

from textmill.errors import Unavailable
from textmill.runtimes.causal_cache import Slab, layers_of
from textmill.runtimes.causal_grammar import Grammar, Grammars
from textmill.runtimes.causal_prefixes import Prefixes
from textmill.runtimes.causal_sampling import Chooser
from textmill.runtimes.writing import Choosing, Picked, WriterFacts

_log = logging.getLogger("textmill")


class CausalPrompt:
    """A prompt, with the states of what is read of it, and the logits behind its last token once all is."""

    def __init__(self, ids: Sequence[int], states: Any, cached: int) -> None:
        self.ids = tuple(ids)
        self.cached = cached
        self.states = states
        self.read = cached
        self.logits: Array | None = None

    @property
    def left(self) -> int:
        """Ids that are still to be read."""
        return len(self.ids) - self.read


class CausalRow:
    """A text that is written. ``states`` are its own where it has no place in the slab."""

    def __init__(self, prompt: CausalPrompt, chooser: Chooser) -> None:
        self.ids = list(prompt.ids)
        self.chooser = chooser
        self.states: Any = None
        self.picked: Picked | None = None
        self.error: Exception | None = None

    @property
    def length(self) -> int:
        """Tokens of it that are read."""
        return len(self.ids)

    def bind(self) -> None:
        """From the next token on its grammar counts."""
        self.chooser.bind()

    def pick(self, logits: Array) -> None:
        """Choose the next token, or keep why there is none: other rows go on."""
        try:
            self.picked = self.chooser.choose(logits)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this row's alone
            self.picked, self.error = None, error


class CausalRuntime:
    """A causal language model. ``grammars`` compiles for its tokenizer; ``remembered`` tokens of former texts are kept at most."""

    def __init__(self, model: Any, facts: WriterFacts, grammars: Grammars, remembered: int) -> None:
        self.facts = facts
        self._model = model
        self._grammars = grammars
        self._device = model.device
        self._takes = inspect.signature(model.forward).parameters
        self._layers = layers_of(model.config) if "past_key_values" in self._takes else None
        self._slab = None if self._layers is None else Slab(self._layers)
        self._prefixes = Prefixes(remembered)
        self._rows: list[CausalRow] = []

    def grammar(self, text: str) -> Grammar:
        """A grammar in llguidance's words. Raises InvalidInput for one that is wrong, ExtraMissing; any thread."""
        return self._grammars.compile(text)

    @torch.inference_mode()
    def begin(self, ids: Sequence[int]) -> CausalPrompt:
        """A prompt, with the states of a former text that begins as it does."""
        if self._slab is None:
            return CausalPrompt(ids, None, 0)
        known, states = self._prefixes.find(ids)
        return CausalPrompt(ids, states or Slab(len(self._slab.layers)), known)

    @torch.inference_mode()
    def read(self, prompt: CausalPrompt, tokens: int) -> None:
        """Read on, so many tokens at most; all at once where the model has states that not every model takes up again."""
        part = prompt.ids[prompt.read :][: tokens if self._slab is not None else None]
        ids = torch.tensor([part], device=self._device)
        if self._slab is None:
            prompt.states, logits = self._alone(ids, prompt.states, prompt.read)
        else:
            logits = self._together(prompt.states, ids, [prompt.read])
        prompt.read += len(part)
        if not prompt.left:
            prompt.logits = logits[0]

    @torch.inference_mode()
    def join(self, prompt: CausalPrompt, choosing: Sequence[Choosing]) -> list[CausalRow]:
        """Rows that go on with a prompt that is read, with their first tokens."""
        logits = prompt.logits
        if logits is None:
            msg = "a prompt that is not read whole cannot be gone on with"
            raise ValueError(msg)
        choosers = [Chooser(each, prompt.ids, self.facts.ends, self._device) for each in choosing]
        rows = [CausalRow(prompt, chooser) for chooser in choosers]
        others = len(self._rows)
        try:
            for index, row in enumerate(rows):
                self._add(row, prompt, index)
        except Exception:  # as for want of memory
            while len(self._rows) > others:
                self._drop(len(self._rows) - 1)
            raise
        for row in rows:
            row.pick(logits)
        if self._slab is not None:
            self._prefixes.keep(prompt.ids, prompt.states)
        return rows

    @torch.inference_mode()
    def step(self) -> None:
        """Read the latest token of each row and pick the next one."""
        going = [row for row in self._rows if row.picked is not None]
        if self._slab is None:
            for row in going:
                ids = torch.tensor([[_latest(row)]], device=self._device)
                row.states, logits = self._alone(ids, row.states, row.length)
                row.ids.append(_latest(row))
                row.pick(logits[0])
            return
        latest = [_latest(row) for row in self._rows]
        ids = torch.tensor(latest, device=self._device)[:, None]
        logits = self._together(self._slab, ids, [row.length for row in self._rows])
        for row, token in zip(self._rows, latest, strict=True):
            row.ids.append(token)
        self._pick(logits)

    @torch.inference_mode()
    def leave(self, rows: Sequence[CausalRow]) -> None:
        """Let go of rows; what they have read is remembered where there is memory for it."""
        for row in rows:
            place = self._rows.index(row)
            if self._slab is not None and row.error is None and self._prefixes.wants(row.ids):
                self._remember(row, self._slab, place)
            self._drop(place)

    def forget(self) -> None:
        """Let go of all rows and of all that is remembered, whatever has failed before."""
        self._rows.clear()
        self._prefixes.clear()
        if self._slab is not None:
            self._slab.clear()

    def close(self) -> None:
        """Let go of all rows, and of the weights."""
        self.forget()
        self._model = None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _add(self, row: CausalRow, prompt: CausalPrompt, index: int) -> None:
        """Put in a row behind the others; ``index`` is its number among those of the prompt."""
        if self._slab is not None:
            self._slab.add(prompt.states)
        else:
            row.states = deepcopy(prompt.states) if index else prompt.states
        self._rows.append(row)

    def _drop(self, place: int) -> None:
        if self._slab is not None:
            self._slab.drop(place)
        self._rows[place] = self._rows[-1]
        self._rows.pop()

    def _remember(self, row: CausalRow, slab: Slab, place: int) -> None:
        try:
            self._prefixes.keep(tuple(row.ids), slab.copied(place, row.length))
        except (RuntimeError, MemoryError):  # torch says so where there is no memory
            _log.warning(
                "there is no memory to remember texts; those that were remembered are forgotten", exc_info=True
            )
            self._prefixes.clear()

    def _pick(self, logits: Array) -> None:
        plain = [row.chooser.plain for row in self._rows]
        best = logits.argmax(-1).tolist() if any(plain) else []
        sound = torch.isfinite(logits.amax(-1)).tolist() if any(plain) else []
        for index, row in enumerate(self._rows):
            if plain[index] and sound[index]:
                row.picked = row.chooser.take(best[index])
            else:
                row.pick(logits[index])

    def _together(self, slab: Slab, ids: Array, read: Sequence[int]) -> Array:
        """Run ids of shape (rows, tokens) behind what the slab has of them; the logits behind the last, (rows, vocabulary)."""
        slab.reserve(len(ids), ids.shape[1])
        if not slab.lengths:
            slab.lengths = [0] * len(ids)
        count = ids.shape[1]
        places = torch.tensor(read, device=self._device)[:, None] + torch.arange(count, device=self._device)
        known = {"attention_mask": slab.mask(count, self._device), "position_ids": places, "past_key_values": slab}
        logits: Array = self._forward(ids, known).logits[:, -1]
        slab.advance(count)
        return logits

    def _alone(self, ids: Array, states: Any, read: int) -> tuple[Any, Array]:
        """Run the ids of one row behind its own states, of whatever kind; the states and the logits behind the last id."""
        name = "past_key_values" if "past_key_values" in self._takes else "cache_params"
        states = DynamicCache(config=self._model.config) if states is None else states
        count = ids.shape[1]
        known: dict[str, Any] = {name: states}
        if "position_ids" in self._takes:
            known["position_ids"] = torch.arange(read, read + count, device=self._device)[None]
        made = self._forward(ids, known)
        return getattr(made, name), made.logits[:, -1]

    def _forward(self, ids: Array, known: dict[str, Any]) -> Any:
        if self._model is None:
            msg = "the model was closed"
            raise Unavailable(msg)
        given = {name: value for name, value in known.items() if name in self._takes}
        if "logits_to_keep" in self._takes:
            given["logits_to_keep"] = 1
        return self._model(input_ids=ids, use_cache=True, **given)


def _latest(row: CausalRow) -> int:
    """The token that comes next; rows that failed read anything until they leave."""
    return 0 if row.picked is None else row.picked.id

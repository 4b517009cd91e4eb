"""One case: a config.json, the reference model for it, and what that answers on rows of ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch  # noqa: TID253 - the reference runs on it
import transformers  # noqa: TID253 - it is the reference

from textmill.testing.seeded import seeded_tensors

Vectors = npt.NDArray[np.float32]
Kind = Literal["states", "logits", "token_logits", "vocabulary"]
"""What a case is about: token states, scores of a row, scores of each token, scores of the vocabulary for each token."""

SEED = 20
LENGTHS = (1, 3, 8, 17, 40)

_AUTO: Mapping[Kind, str] = {
    "states": "AutoModel",
    "logits": "AutoModelForSequenceClassification",
    "token_logits": "AutoModelForTokenClassification",
    "vocabulary": "AutoModelForMaskedLM",
}


@dataclass(frozen=True)
class Case:
    """A tiny model of the reference libraries.

    ``settings`` are the keywords of its configuration in transformers. What textmill reads is that configuration's
    config.json with ``written`` over it; a None there removes the key. ``model`` makes the reference from ``settings`` where
    it is not transformers' Auto class of this ``kind`` (or ``auto``): a module whose call takes ``input_ids`` and, where it
    has segments, ``token_type_ids``, each (1, tokens), and gives the states (1, tokens, features) or an object of
    transformers. ``rename`` gives a tensor of the reference the name that checkpoints have. ``adapter`` is what `Row` takes. Vectors that
    scale lie ``around`` 1, or around 0 where the model adds the 1 itself.
    """

    name: str
    settings: Mapping[str, Any]
    kind: Kind = "states"
    written: Mapping[str, Any] = field(default_factory=dict)
    auto: str | None = None
    model: Callable[[Mapping[str, Any]], torch.nn.Module] | None = None
    rename: Callable[[str], str | None] = lambda name: name
    lengths: tuple[int, ...] = LENGTHS
    types: bool = False
    adapter: int = 0
    around: float = 1.0

    def config(self) -> dict[str, Any]:
        """The config.json that textmill reads."""
        made = dict(self.settings) if self.model else self._configuration().to_dict()
        known = {key: value for key, value in (made | dict(self.written)).items() if value is not None}
        return {key: value for key, value in known.items() if key not in ("transformers_version", "_name_or_path")}

    def reference(self) -> torch.nn.Module:
        """The reference model, its weights from the seed."""
        if self.model:
            model = self.model(self.settings)
        else:
            auto = getattr(transformers, self.auto or _AUTO[self.kind])
            model = auto.from_config(self._configuration(), attn_implementation="eager", dtype=torch.float32)
        shapes = {renamed: shape for _, renamed, shape in self._floats(model)}
        tensors = seeded_tensors(shapes, SEED, around=self.around)
        state = {name: torch.from_numpy(tensors[renamed]) for name, renamed, _ in self._floats(model)}
        model.load_state_dict(state, strict=False)
        return model.eval()

    def shapes(self, model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
        """The checkpoint's tensors: those that the reference would save, a tied one once."""
        return {renamed: shape for _, renamed, shape in self._floats(model)}

    def rows(self) -> list[list[int]]:
        """Rows of random ids."""
        rng = np.random.default_rng(SEED)
        vocabulary = self.config()["vocab_size"]
        # The first few ids are special in many models: padding, for one, moves RoBERTa's positions.
        return [rng.integers(min(5, vocabulary - 1), vocabulary, length).tolist() for length in self.lengths]

    def segments(self) -> list[list[int]] | None:
        """Half zeros, half ones for each row, where the model has segments."""
        if not self.types:
            return None
        return [[0] * (length // 2) + [1] * (length - length // 2) for length in self.lengths]

    def answers(self, model: torch.nn.Module) -> Vectors:
        """What the reference answers to each row alone, the rows' tokens end to end, or (rows, classes)."""
        segments = self.segments()
        parts = []
        for index, row in enumerate(self.rows()):
            more = {} if segments is None else {"token_type_ids": torch.tensor([segments[index]])}
            with torch.no_grad():
                made = model(input_ids=torch.tensor([row]), **more)
            made = getattr(made, "last_hidden_state" if self.kind == "states" else "logits", made)
            parts.append(made.float() if self.kind == "logits" else made[0].float())
        answers: Vectors = torch.cat(parts).numpy()
        return answers

    def _floats(self, model: torch.nn.Module) -> list[tuple[str, str, tuple[int, ...]]]:
        """The reference's tensors: its name, the checkpoint's name and the shape; of tied ones the first."""
        seen: set[int] = set()
        floats = []
        for name, value in model.state_dict(keep_vars=True).items():
            renamed = self.rename(name)
            if value.is_floating_point() and renamed is not None and value.data_ptr() not in seen:
                seen.add(value.data_ptr())
                floats.append((name, renamed, tuple(value.shape)))
        return floats

    def _configuration(self) -> Any:
        return transformers.AutoConfig.for_model(**self.settings)

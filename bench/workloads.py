"""The texts: English-like passages of exact token counts, made from a seed and the model's own vocabulary."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

SPECIAL_TOKENS: Final = 2
"""``[CLS]`` and ``[SEP]`` count as tokens: they cost as much as any other."""

FIXED: Final = {"16": 16, "128": 128, "512": 512}
MIXED: Final = "mixed"
NAMES: Final = (*FIXED, MIXED)
MEDIAN_LENGTH: Final = 46
SIGMA: Final = 0.8
SHORTEST: Final = 4


class Workload(msgspec.Struct, frozen=True):
    """Distinct texts and, beside each, how many of its tokens reach the model.

    The first ``bulk`` texts make the bulk call; requests take their texts from all of them in turn, so that no text waits
    twice at the same time and nothing is won by computing duplicates once. ``cut`` texts are longer than the model reads.
    """

    name: str
    texts: list[str]
    tokens: list[int]
    bulk: int
    cut: int


class Vocabulary:
    """Words of the model's vocabulary, frequent ones first, and compounds that cost two tokens."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer  # noqa: PLC0415 - only the driver makes texts

        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        by_id = sorted(self.tokenizer.get_vocab().items(), key=lambda item: item[1])
        self.words = [word for word, _ in by_id if re.fullmatch(r"[a-z]{2,12}", word)][:8000]
        suffixes = [word[2:] for word, _ in by_id if re.fullmatch(r"##[a-z]{2,4}", word)][:40]
        tails = self.words[2000:6000]
        candidates = [tail + suffixes[i % len(suffixes)] for i, tail in enumerate(tails)]
        self.compounds = [
            word for word, cost in zip(candidates, self.count(candidates), strict=True) if cost == SPECIAL_TOKENS + 2
        ]

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens included."""
        return [len(encoding.ids) for encoding in self.tokenizer.encode_batch(list(texts))]


def passages(vocabulary: Vocabulary, lengths: NDArray[np.int64], seed: int) -> list[str]:
    """One distinct passage for each length in tokens (special tokens included), the same for the same seed.

    Words follow Zipf's law over the vocabulary's order; one word in eight is rare enough to be split in two tokens, and a
    sentence ends after about twelve words, so that tokenising costs what it costs on English.
    """
    random = np.random.default_rng(seed)
    rank = np.arange(1, len(vocabulary.words) + 1, dtype=np.float64)
    weights = 1.0 / (rank + 2.7)
    size = int(lengths.sum())
    words = iter(random.choice(len(vocabulary.words), size=size, p=weights / weights.sum()).tolist())
    compounds = iter(random.integers(len(vocabulary.compounds), size=size).tolist())
    kinds = iter(random.random(size).tolist())

    def passage(length: int) -> str:
        left = length - SPECIAL_TOKENS
        parts: list[str] = []
        while left > 0:
            kind = next(kinds)
            if kind < 0.08 and parts and not parts[-1].endswith("."):  # noqa: PLR2004 - a sentence of about twelve words
                parts[-1] += "."
                left -= 1
            elif kind > 0.875 and left > 1:  # noqa: PLR2004 - one word in eight
                parts.append(vocabulary.compounds[next(compounds)])
                left -= 2
            else:
                parts.append(vocabulary.words[next(words)])
                left -= 1
        return " ".join(parts).capitalize()

    return [passage(int(length)) for length in lengths]


def lengths_of(name: str, count: int, limit: int, seed: int) -> NDArray[np.int64]:
    """Token counts of a workload's texts: all alike, or log-normal between four and what the model reads."""
    if name != MIXED:
        return np.full(count, FIXED[name], dtype=np.int64)
    drawn = np.random.default_rng(seed).lognormal(np.log(MEDIAN_LENGTH), SIGMA, count)
    return np.clip(np.rint(drawn), SHORTEST, limit).astype(np.int64)


def make(vocabulary: Vocabulary, name: str, *, bulk: int, pool: int, limit: int, seed: int = 7) -> Workload:
    """Make a workload of ``pool`` texts; lengths are checked with the tokeniser, not assumed."""
    seed += NAMES.index(name)
    lengths = lengths_of(name, pool, limit, seed)
    texts = list(dict.fromkeys(passages(vocabulary, lengths, seed)))
    counted = vocabulary.count(texts)
    tokens = [min(length, limit) for length in counted]
    cut = sum(length > limit for length in counted[:bulk])
    return Workload(name=name, texts=texts, tokens=tokens, bulk=min(bulk, len(texts)), cut=cut)

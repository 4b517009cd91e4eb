"""Where a text can be parted so that each part gives the tokens that it gives within the whole.

A seam lies before a lone space between two letters. Tokenizers that split text into words first split it there whatever
stands around, and their models never look beyond a word; so tokens before and after a seam do not depend on each other.
That is known only of the rules named here. With any other rule a text has no seams.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

import tokenizers

from textmill.contract import Side

_CANDIDATE = re.compile(r"[^\W\d_](?= [^\W\d_])")
_NORMALIZERS = {"BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "StripAccents"}
"""They look at a character and those that combine with it. Strip, Prepend and Replace may change a part's edge."""
_SPLITTERS = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit"}
_WITHIN_WORDS = {"ByteLevel", "Digits", "Punctuation"}
_PATTERNS = {
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    + numbers
    + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    for numbers in ("", "{1,3}")  # Qwen2 and Qwen3, Llama 3
}


class Seams:
    """The seams of texts under one tokenizer's rules."""

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        self._known = (
            all(rule["type"] in _NORMALIZERS for rule in _rules(tokenizer.normalizer, "normalizers"))
            and _splits_words(_rules(tokenizer.pre_tokenizer, "pretokenizers"))
            and not any(_reaches_words(token) for token in tokenizer.get_added_tokens_decoder().values())
        )

    def part(self, text: str, characters: int, side: Side) -> str:
        """About the first ``characters`` of a text, or the last ones where ``side``, which is cut, is the left.

        At least that many, at a seam; the whole text where it is not much longer or has no seam that would help.
        """
        while self._known and 2 * characters < len(text):
            start = characters if side == "right" else len(text) - 2 * characters
            for found in _CANDIDATE.finditer(text, start, start + characters):
                at = found.end()
                if _plain(text[at - 1]) and _plain(text[at + 1]):
                    return text[:at] if side == "right" else text[at:]
            characters *= 2
        return text


def _rules(component: Any, members: str) -> list[dict[str, Any]]:
    """The rules of a tokenizer's component in their order, as tokenizer.json spells them."""
    if component is None:
        return []
    return _flat(json.loads(component.__getstate__()), members)


def _flat(rule: dict[str, Any], members: str) -> list[dict[str, Any]]:
    return [inner for member in rule[members] for inner in _flat(member, members)] if members in rule else [rule]


def _splits_words(rules: list[dict[str, Any]]) -> bool:
    splits = [_splits(rule) for rule in rules]
    if not any(splits):
        return False
    # These write spaces as letters: whoever splits after them finds none.
    before = {rule["type"] for rule in rules[: splits.index(True)]}
    return before.isdisjoint({"ByteLevel", "Metaspace"}) and all(
        split or rule["type"] in _WITHIN_WORDS for split, rule in zip(splits, rules, strict=True)
    )


def _splits(rule: dict[str, Any]) -> bool:
    kind = rule["type"]
    if kind == "Split":
        return rule["behavior"] == "Isolated" and rule["pattern"].get("Regex") in _PATTERNS
    return (
        kind in _SPLITTERS
        or (kind == "ByteLevel" and bool(rule.get("use_regex", True)))
        or (kind == "Metaspace" and bool(rule.get("split", True)))
    )


def _reaches_words(token: tokenizers.AddedToken) -> bool:
    """Whether an added token can lie across a seam, or take the space of one."""
    edges = token.content[:1] + token.content[-1:]
    return any(c.isspace() for c in token.content) or ((token.lstrip or token.rstrip) and any(map(str.isalpha, edges)))


def _plain(character: str) -> bool:
    """Whether it is a letter and stays one: some stand for a space with a mark, say."""
    return character.isalpha() and not unicodedata.decomposition(character).startswith("<")

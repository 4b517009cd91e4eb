"""GBNF grammars that callers send: what would stop a model's engine is refused before it gets there."""

from __future__ import annotations

import re

from textmill.errors import InvalidInput

_LONGEST = 65_536
_DEEPEST = 256
_TOKENS = re.compile(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|#[^\n]*|[()]', re.DOTALL)
"""Literals, classes of characters and comments, in which a bracket is none, and brackets."""


def check_grammar(grammar: str, param: str) -> None:
    """Raise InvalidInput for a grammar that engines do not survive, or read in another way than it stands there.

    llama.cpp reads brackets by recursion, and some ten thousand of them end its process; it reads up to the first NUL, and takes what
    begins with one for no grammar at all.
    """
    if len(grammar) > _LONGEST:
        msg = f"the grammar has {len(grammar)} characters; at most {_LONGEST} go"
        raise InvalidInput(msg, param=param)
    if "\0" in grammar:
        msg = "the grammar has the character U+0000; write it as \\x00"
        raise InvalidInput(msg, param=param)
    depth = 0
    for found in _TOKENS.finditer(grammar):
        depth += (found[0] == "(") - (found[0] == ")")
        if depth > _DEEPEST:
            msg = f"the grammar has brackets in brackets, more than {_DEEPEST} levels of them"
            raise InvalidInput(msg, param=param)

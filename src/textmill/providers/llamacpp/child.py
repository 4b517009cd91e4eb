"""llama.cpp's server with one model, as a process of its own: a program that needs xllamacpp and Python's own library only.

``child.py``: the first line of standard input is a JSON object: ``settings`` are attributes of xllamacpp's CommonParams by dotted names,
``lora`` pairs of paths and scales, ``rpc`` addresses of llama.cpp's workers. Standard output gets one line of JSON, with ``ready`` and
``devices`` and ``guided``, whether it knows llguidance's grammars, or with ``failed``, a sentence, and ``logged``; all that llama.cpp writes
goes to standard error. Then it runs until standard input closes, as it does when the
parent is killed too.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import threading
from collections.abc import Mapping, Sequence
from typing import Any

_GONE = 0


def main() -> None:
    """Serve until the parent is gone."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # llama.cpp writes to both
    told = json.loads(_line())
    _end_with_parent()
    try:
        server, devices = _serve(told["settings"], told["lora"], told["rpc"])
    except (RuntimeError, ValueError, TypeError, AttributeError, OverflowError, OSError, MemoryError) as error:
        # The reason is in llama.cpp's log then, which a thread of its own writes.
        told = {"failed": f"{error}", "logged": isinstance(error, RuntimeError)}
    else:
        told = {"ready": server.listening_address, "devices": devices, "guided": _guided()}
    print(json.dumps(told), file=answers, flush=True)
    threading.Event().wait()


def _line() -> bytes:
    """The first line of standard input, and nothing behind it."""
    with os.fdopen(0, "rb", buffering=0, closefd=False) as file:
        return file.readline()


def _end_with_parent() -> None:
    """Have the kernel end this process when standard input closes: while a model loads, no thread of Python's can run.

    PR_SET_PDEATHSIG would not do: it is about the thread that started this one, and models load in threads that end.
    """
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl  # noqa: PLC0415 - not on Windows

        signal.signal(signal.SIGIO, signal.SIG_DFL)  # which ends the process
        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
        if select.select([0], [], [], 0)[0]:
            os._exit(_GONE)  # it had closed before
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    """End this process when standard input closes, where no signal comes."""
    while os.read(0, 64):
        pass
    os._exit(_GONE)


def _serve(settings: Mapping[str, Any], lora: Sequence[tuple[str, float]], rpc: str) -> tuple[Any, list[str]]:
    import xllamacpp  # noqa: PLC0415 - it is the parent that says when it is missing

    if rpc:
        _add_workers(xllamacpp, rpc)
    parameters = xllamacpp.CommonParams()
    for name, value in settings.items():
        _set(xllamacpp, parameters, name, value)
    if lora:
        parameters.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(path, scale) for path, scale in lora]
    devices = [str(each["name"]) for each in xllamacpp.get_device_info()]
    return xllamacpp.Server(parameters), devices


def _guided() -> bool:
    """Whether this build has llguidance, by whose words it then has schemas: one that has not ends where it is given such a grammar."""
    import xllamacpp  # noqa: PLC0415 - as above

    return str(xllamacpp.json_schema_to_grammar({"type": "object"})).startswith("%llguidance")


def _set(xllamacpp: Any, parameters: Any, name: str, value: Any) -> None:
    """Set one attribute; members of enumerations come by their names, and arrays of a fixed length by their beginning."""
    owner = parameters
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    before = getattr(owner, last)
    if last == "types":
        value = [xllamacpp.common_speculative_type[each] for each in value]
    elif isinstance(before, list) and last in ("tensor_split", "fit_params_target"):
        fill = value[-1:] if last == "fit_params_target" else [0.0]
        value = [*value, *fill * len(before)][: len(before)]
    elif hasattr(type(before), "__members__"):
        value = type(before)[value]
    try:
        setattr(owner, last, value)
    except OverflowError:
        msg = f"{name} is {value}, which is more than llama.cpp has room for"
        raise ValueError(msg) from None


def _add_workers(xllamacpp: Any, rpc: str) -> None:
    """Make workers of llama.cpp's RPC backend devices of this process, as its own command line does."""
    library = ctypes.CDLL(xllamacpp.xllamacpp.__file__)
    library.llama_supports_rpc.restype = ctypes.c_bool
    if not library.llama_supports_rpc():
        msg = "rpc_servers names workers, and this build of xllamacpp was made without llama.cpp's RPC backend"
        raise ValueError(msg)
    for name in ("ggml_backend_reg_by_name", "ggml_backend_reg_get_proc_address"):
        getattr(library, name).restype = ctypes.c_void_p
    registry = library.ggml_backend_reg_by_name(b"RPC")
    found = library.ggml_backend_reg_get_proc_address(ctypes.c_void_p(registry), b"ggml_backend_rpc_add_server")
    add = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_char_p)(found)
    for worker in rpc.split(","):
        library.ggml_backend_register(ctypes.c_void_p(add(worker.strip().encode())))


if __name__ == "__main__":
    main()

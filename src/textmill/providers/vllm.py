"""From a model file to a model that vLLM runs, which is started for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from textmill.folder.model import ModelFile
from textmill.providers.asking import Asking
from textmill.providers.openai_speech import VLLM
from textmill.providers.remote import TASKS, info_of
from textmill.providers.remote_model import RemoteModel
from textmill.providers.vllm_command import serve_arguments
from textmill.providers.vllm_server import START_S, Launch, VllmServer, find_vllm

_WRITES = ("chat", "complete")
_QUIET = {"VLLM_NO_USAGE_STATS": "1"}


def open_vllm(file: ModelFile, root: Path, environ: Mapping[str, str], *, offline: bool = False) -> RemoteModel:
    """The model of a file of the models folder ``root`` whose backend is vllm; blocks until vLLM has loaded it, which may take minutes.

    Its process has the environment ``environ``, and asks no hub where that is ``offline``. Raises ExtraMissing where vLLM is not
    installed, ConfigInvalid for flags that a model file may not have, ModelBroken and Unavailable where vLLM does not come up.
    """
    arguments = serve_arguments(file, root)
    command = [find_vllm(environ), *arguments]
    given = {**environ, **_QUIET, **({"HF_HUB_OFFLINE": "1"} if offline else {})}
    server = VllmServer(Launch(name=file.name, command=command, environ=given, start_s=_start_s(file)))
    told = server.open()
    tasks = tuple(TASKS[each] for each in file.capabilities if TASKS.get(each) in _WRITES)
    info = info_of(file, tasks, runtime="vllm", device="vllm")
    length = told.get("max_model_len")
    asking = Asking(name=file.name)
    return RemoteModel(replace(info, max_tokens=length) if isinstance(length, int) else info, server, VLLM, asking)


def _start_s(file: ModelFile) -> float:
    """How long vLLM may take: what the file says, at least a minute, or an hour."""
    stated = file.fields.grpc
    if stated is None or not (stated.attempts and stated.attempts_sleep_time):
        return START_S
    return max(60.0, float(stated.attempts * stated.attempts_sleep_time))

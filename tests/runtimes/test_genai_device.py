from __future__ import annotations

import pytest

from textmill.errors import ConfigInvalid
from textmill.runtimes.genai_device import device_of

CPU, ONE, TWO = ["CPU"], ["CPU", "GPU"], ["CPU", "GPU.0", "GPU.1", "NPU"]


@pytest.mark.parametrize(
    ("wanted", "there", "device"),
    [
        ("", CPU, "CPU"),
        ("cpu", TWO, "CPU"),
        ("GPU", ONE, "GPU"),
        ("gpu.0", ONE, "GPU"),
        ("GPU", TWO, "GPU.0"),
        ("GPU.1", TWO, "GPU.1"),
        ("AUTO", CPU, "CPU"),
        ("AUTO", TWO, "GPU.0"),
        ("AUTO:-CPU", TWO, "GPU.0"),
        ("AUTO:-GPU.0", TWO, "GPU.1"),
        ("AUTO:-GPU", TWO, "CPU"),
        ("AUTO:GPU.1,CPU", TWO, "GPU.1"),
        ("AUTO:CPU,GPU", TWO, "CPU"),
        ("AUTO:NPU,CPU", TWO, "CPU"),
    ],
)
def test_a_device_is_one_that_is_there(wanted: str, there: list[str], device: str) -> None:
    assert device_of(wanted, there) == (device, "")


@pytest.mark.parametrize("wanted", ["AUTO:-CPU", "AUTO:GPU"])
def test_auto_takes_the_cpu_where_nothing_is_left_and_says_so(wanted: str) -> None:
    device, note = device_of(wanted, CPU)

    assert device == "CPU"
    assert "the CPU is taken" in note


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("GPU", "OpenVINO has CPU here"),
        ("GPU.2", "OpenVINO has CPU here"),
        ("cuda:0", "AutoModelForCausalLM runs on CUDA"),
        ("NPU", "continuous batching needs"),
        ("MULTI:GPU,CPU", "no device to write on"),
        ("AUTO:cuda", "'CUDA' is no device"),
    ],
)
def test_other_devices_are_errors_that_say_what_goes(wanted: str, words: str) -> None:
    with pytest.raises(ConfigInvalid, match=words) as refused:
        device_of(wanted, CPU)

    assert "AUTO:-CPU" in str(refused.value) or "OpenVINO has" in str(refused.value)

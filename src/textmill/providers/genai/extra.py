"""Whether OpenVINO GenAI is installed."""

from __future__ import annotations

from importlib.util import find_spec

from textmill.errors import ExtraMissing


def need_genai() -> None:
    """Raise ExtraMissing, with the pip command, unless the extra openvino-genai is installed; nothing is imported here."""
    for module, package in (("openvino_genai", "openvino-genai"), ("jinja2", "jinja2")):
        if find_spec(module) is None:
            msg = (
                f"models in OpenVINO's form that write need the package {package}; "
                "install the extra with: pip install 'textmill[openvino-genai]'"
            )
            raise ExtraMissing(msg)

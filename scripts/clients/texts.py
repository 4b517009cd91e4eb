"""What the tiny models write."""

from __future__ import annotations

from typing import Final

SAYS: Final = "The mill turns by the river."
CALL: Final = '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
PERSON: Final = '{"name": "Ada", "age": 36}'
THOUGHT: Final = "What drives it, then?"

"""Prompts of models whose files say how they are made: templates, conversations, and what is done to answers. Pure: no I/O."""

from __future__ import annotations

from textmill.prompting.conversation import Conversation, Message, Templates, Tool, ToolCall
from textmill.prompting.gotemplate import GoTemplate
from textmill.prompting.postprocess import Cleaning
from textmill.prompting.render import EDIT, Prompts

__all__ = [
    "EDIT",
    "Cleaning",
    "Conversation",
    "GoTemplate",
    "Message",
    "Prompts",
    "Templates",
    "Tool",
    "ToolCall",
]

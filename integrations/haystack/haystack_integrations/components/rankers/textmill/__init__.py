"""Haystack's ranker over textmill."""

from __future__ import annotations

from haystack_integrations.components.rankers.textmill.ranker import TextmillRanker

__all__ = ["TextmillRanker"]

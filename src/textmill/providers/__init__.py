"""Engines that tokenise, batch and run by themselves, behind the same verbs as our own models."""

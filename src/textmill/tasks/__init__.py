"""Verbs that users call, on our own runtimes."""

"""Fakes and tiny checkpoints for tests of textmill and of what is built on it."""

"""Architectures, written once over a small tensor vocabulary; imports numpy and nothing else."""

"""What the reference libraries answer on tiny checkpoints: the cases behind tests/golden/architectures."""

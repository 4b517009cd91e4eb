"""Time and order: knows rows, not texts or tensors."""

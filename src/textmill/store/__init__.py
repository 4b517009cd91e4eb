"""The models that are loaded, and how they are loaded."""

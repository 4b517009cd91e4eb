"""Other people's clients, unchanged, against a live server."""

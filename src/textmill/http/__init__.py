"""HTTP: the dialects and the app. The only room that turns errors into a status."""

"""What has been computed is kept, so that it is not computed again: by model and row, in memory and on disk."""

"""Models that can be fetched: galleries, URIs and downloads become files and model files in the models folder."""

"""A models folder as facts: YAML files of models and loose weights become frozen `ModelFile`s, or `Problem`s."""

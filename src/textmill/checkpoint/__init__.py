"""Files of a model become facts: where they are, what they hold, and how texts become ids."""

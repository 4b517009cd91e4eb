"""The comparison with peers: ``python -m bench`` runs it, ``docs/benchmarks.md`` says how it measures."""

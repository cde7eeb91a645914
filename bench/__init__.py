"""Measures the whole system as it runs: `python -m bench.run`."""

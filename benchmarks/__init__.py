"""``python -m benchmarks NAME``: figures, each beside its floor from the same run."""

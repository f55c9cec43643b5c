"""Benchmarks: this service beside its rivals, in one run on one machine. `python -m tests.bench`; see README.md."""

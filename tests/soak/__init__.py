"""Soak and kill -9 programs: real processes under load, then an account. See README.md."""

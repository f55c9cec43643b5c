"""Sending response bodies: admission, audit rows, stalled clients, and the outcome."""

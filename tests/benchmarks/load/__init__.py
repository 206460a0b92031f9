"""Benchmarks: how the output of what puts load on the peers is read."""

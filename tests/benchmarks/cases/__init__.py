"""Benchmarks: what the cases compute from what they measure."""

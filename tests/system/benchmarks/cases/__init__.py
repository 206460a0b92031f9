"""Benchmarks: whole cases, with a few tunnels and visitors."""

"""Benchmarks: how peers are prepared."""

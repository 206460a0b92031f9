"""Benchmarks: the peers, as far as no other machine is needed to run them."""

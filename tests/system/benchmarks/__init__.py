"""Benchmarks: the programs that they start, and their visitors, on real sockets."""

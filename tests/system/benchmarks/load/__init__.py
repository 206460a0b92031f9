"""Benchmarks: what puts load on the peers, on real sockets."""

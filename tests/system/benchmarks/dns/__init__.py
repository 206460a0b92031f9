"""Benchmarks: questions to DNS servers, on real sockets."""

"""Tests of edges that relay to each other, on real sockets."""

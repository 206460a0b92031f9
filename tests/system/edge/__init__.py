"""Tests of the edge through real sockets."""

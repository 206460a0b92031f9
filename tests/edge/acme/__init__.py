"""Tests of `warp_twisted.edge.acme`."""

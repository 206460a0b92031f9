"""Tests of `warp_twisted.edge.routing`."""

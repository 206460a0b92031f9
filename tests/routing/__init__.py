"""Tests of `warp_twisted.routing`."""

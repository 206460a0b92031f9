"""Tests of `warp_twisted.registry.acme`."""

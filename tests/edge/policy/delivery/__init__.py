"""Tests for `warp_twisted.edge.policy.delivery`."""

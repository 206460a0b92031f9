"""Tests for `warp_twisted.policy.sources`."""

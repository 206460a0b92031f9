"""Tests for `warp_twisted.policy.authentication`."""

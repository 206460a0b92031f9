"""Tests of `warp_twisted.cli.migrate`."""

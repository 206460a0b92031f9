"""Tests of `warp policy`."""

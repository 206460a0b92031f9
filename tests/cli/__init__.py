"""Tests of the warp command."""

"""Tests of the warp command against sockets."""

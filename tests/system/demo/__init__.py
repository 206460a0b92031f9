"""Tests of `warp demo`, on real sockets."""

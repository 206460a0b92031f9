"""Tests of `warp_twisted.edge.handover`."""

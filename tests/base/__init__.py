"""Tests of `warp_base`, what the DNS server, the edge and the agent share."""

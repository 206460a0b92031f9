"""Tests of the zone that the edges of a fleet transfer, with a real etcd, real links and real secondaries."""

"""Tests of the edge's store of what lasts."""

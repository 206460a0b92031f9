"""Tests of `edge.owners`."""

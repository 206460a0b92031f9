"""Tests of the rooms in dns/zone."""

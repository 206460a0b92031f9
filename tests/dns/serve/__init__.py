"""Tests of the rooms in dns/serve."""

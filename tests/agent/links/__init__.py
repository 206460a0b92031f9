"""Tests of the rooms in agent/links."""

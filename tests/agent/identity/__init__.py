"""Tests of the rooms in agent/identity."""

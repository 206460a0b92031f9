"""Tests of the rooms in demo.canary."""

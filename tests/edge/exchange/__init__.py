"""Tests of the rooms in edge/exchange."""

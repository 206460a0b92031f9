"""Tests of the rooms in edge/agents."""

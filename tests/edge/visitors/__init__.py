"""Tests of the rooms in edge/visitors."""

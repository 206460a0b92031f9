"""Tests of the rooms in edge/certificates."""

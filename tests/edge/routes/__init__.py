"""Tests of the rooms in edge/routes."""

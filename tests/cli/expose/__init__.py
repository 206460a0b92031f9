"""Tests of the rooms in cli/expose."""

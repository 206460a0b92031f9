"""Tests of the rooms in cli/operate."""

"""Tests of the rooms in demo."""

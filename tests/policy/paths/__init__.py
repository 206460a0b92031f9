"""Tests of paths and of their patterns."""

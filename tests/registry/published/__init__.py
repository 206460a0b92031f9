"""Tests of registry.published."""

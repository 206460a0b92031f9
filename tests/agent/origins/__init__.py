"""Tests of the kinds of origin."""

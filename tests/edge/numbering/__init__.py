"""Tests of who numbers the zone in a fleet."""

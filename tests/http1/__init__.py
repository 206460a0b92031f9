"""Tests of the room http1."""

"""Tests of policies with programs on the other side."""

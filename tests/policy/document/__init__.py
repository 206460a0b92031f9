"""Tests of policies as they are written."""

"""Tests of what edges tell each other."""

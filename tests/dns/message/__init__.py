"""Tests of the rooms in dns/message."""

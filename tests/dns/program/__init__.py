"""Tests of the rooms in dns/program."""

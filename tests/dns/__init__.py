"""Tests of the DNS rooms, module by module."""

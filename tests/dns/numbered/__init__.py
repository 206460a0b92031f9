"""Tests of the numbered zone from one server to another."""

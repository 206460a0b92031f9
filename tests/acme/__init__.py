"""Tests of the issuing process."""

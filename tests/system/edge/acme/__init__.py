"""Tests of ACME at live edges."""

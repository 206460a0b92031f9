"""Tests of the DNS benchmark."""

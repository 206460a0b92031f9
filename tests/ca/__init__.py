"""Tests of identity: certificates, join tokens, enrollment."""

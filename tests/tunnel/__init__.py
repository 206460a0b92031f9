"""Tests of the tunnel's Twisted shell."""

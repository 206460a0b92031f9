"""Tests that open sockets and start programs."""

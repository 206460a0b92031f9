"""Tests of the agent with real sockets and programs."""

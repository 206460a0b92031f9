"""Tests of the agent, room by room, without sockets."""

"""Tests of the tunnel protocol without sockets."""

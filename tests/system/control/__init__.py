"""Tests of the control path over real sockets and processes."""

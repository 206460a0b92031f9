"""Tests of demo.canary with sockets and as a program."""

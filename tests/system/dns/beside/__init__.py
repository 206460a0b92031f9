"""Tests of what a name server asks the edge beside it, against edges that the tests play."""

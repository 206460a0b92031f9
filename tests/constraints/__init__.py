"""Tests for constraints: that environments get the versions that were tested, whatever an index offers meanwhile."""

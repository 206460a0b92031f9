"""Benchmarks: how measuring programs' output is read, and how figures are judged and laid out."""

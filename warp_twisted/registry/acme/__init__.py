"""
What the registry knows of certificates that are ordered by ACME: what is kept of them, and challenges.

Values and their forms, nothing of how they come about. Begin at `records`; `challenges` are live state of edges.
"""

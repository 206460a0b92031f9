"""
What the registry knows of certificates that are ordered by ACME: challenges now.

Values and their forms, nothing of how they come about. Begin at `challenges`.
"""

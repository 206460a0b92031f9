"""
What a fleet's edges agree on about split hostnames: the keys of visitors' cookies, and shifts.

Decides when a key is made and which signs, and what a shift comes to at an instant. Must not know requests: `routes`
holds what they are sent by.
"""

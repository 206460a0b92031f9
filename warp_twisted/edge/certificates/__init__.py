"""
Visitors' certificates: which one a visitor is shown, and what a connection that was made with it may be used for.

Decides by names alone. Must not know requests, routes or what is served. Begin at `directory`.
"""

"""
The record of edges, tunnels, agents, join tokens and revocations, and what DNS publishes of it.

Decides what is kept, for how long, and how two writers are kept apart. Must not know tunnels or DNS sockets. Begin at
`model` (what there is), then `store` (where it is kept), `mirror` (how it is read) and `published` (what DNS says).
"""

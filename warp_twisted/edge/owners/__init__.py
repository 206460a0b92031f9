"""
To whom hostnames belong: each to one group of agents, from when it is first served until it is given up.

Decides who may serve a hostname, and keeps that in the registry. Must not know tunnels, only who asks and what is
served. Begin at `judgement` (who may have what), then `ownership` (how it is taken), `groups` and `expiry`.
"""

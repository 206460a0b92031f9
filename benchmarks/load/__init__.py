"""
What puts load on the peers: wrk, visitors of our own, the origin behind every peer, thousands of agents.

Knows addresses, never which program listens there. Programs of their own here: `origin`, `swarm`.
"""

"""
The agent: dials out to the edges and carries their streams to the origins beside it; it listens on no port.

`links` keeps the tunnels, `origins` reaches the applications, `identity` holds key and certificate. Must not know HTTP:
a stream's bytes are passed on unread. Begin at `service` (what one part means for the others), then `runner` (from
settings to a running agent).
"""

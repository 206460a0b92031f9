"""
Certificates that are ordered by ACME, as an edge sees them: what it publishes so that an authority believes us.

Decides what is published and for how long. Must not know how an order goes: that is another program's, which asks by
the admin socket, and may be anybody's. Begin at `challenges`.
"""

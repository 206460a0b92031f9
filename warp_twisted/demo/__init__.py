"""
`warp demo`: a whole fleet in one process on loopback, to try Warp out.

Begin at `command`, then `fleet`, which puts authority, edge, DNS, agent and `application` together; `check` drives the
whole path once, as `visitor`.
"""

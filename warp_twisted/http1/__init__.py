"""
HTTP/1.1 as a proxy reads and writes it: bytes in, values out; no sockets, no clock, no logging.

Decides what is well formed and what it means, and refuses everything that could be read in two ways. Must not know
routes, connections or who is on either side. Begin at `request` and `response`, then `body`.
"""

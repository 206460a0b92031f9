"""
DNS messages and what they are made of: names, records, queries, replies, the wire codec, TSIG and cookies.

Pure: no Twisted, no clock, no log. Must not know zones or sockets. Begin at `names` and `records`, then `query`.
"""

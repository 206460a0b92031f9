"""
The server: sockets, worker processes, rate limits, metrics, NOTIFY, and the zones that follow a file or an edge.

Decides which queries are answered, and by which process. Must not know how settings are written. Begin at `responder`
(one query, pure), then `server`.
"""

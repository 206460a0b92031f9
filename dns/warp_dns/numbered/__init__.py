"""
The numbered zone from one server to another: what is told, and what is heard.

Pure: bytes, snapshots and changes. Both ends of the links between edges use it, and a name server beside an edge. Must
not know who numbers, nor how bytes travel. Begin at `telling`, then `hearing`.
"""

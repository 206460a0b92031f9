"""
The visitors' side of the edge: from an accepted connection to the answer that goes back.

Decides how a visitor's connection is read and timed, what the edge answers itself, and how one exchange with an origin
runs to its end. Must not know agents' certificates, the registry, or settings files: `serving` translates settings and
builds the rest. Begin at `states` and `connection` (one visitor), then `exchange` (one request), then `crowd` (what
all share). What a visitor may make the edge do is bounded in `upload`, `crowd` and `warp_base.fair_queue`.
"""

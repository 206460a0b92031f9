"""
The visitors' side of the edge: from an accepted connection to the requests on it.

Decides how a visitor's connection is read and timed, and what all of them share. Must not know agents' certificates,
the registry, or settings files: `serving` translates settings and builds the rest. Begin at `states` and `connection`
(one visitor), then `crowd` (what all share); one request is served by `edge.exchange`. What a visitor may make the edge
do is bounded in `edge.exchange.upload`, `crowd` and `warp_base.fair_queue`.
"""

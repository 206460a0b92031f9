"""
Other edges: links to them, and what edges tell each other while they run.

Each pair of edges of the registry's records has one link: a tunnel connection with ALPN `warp-peer/1`, dialed by the
edge whose name sorts first, on which both ends may open streams. Over a stream of its own each end tells what it has: a
snapshot, then changes. An edge is believed dead or alive by this edge's own link only. What is heard goes into
`registry.mirror`, where everybody reads it; DNS and routing follow from there. This room knows nothing of them.

Begin reading in `messages` (what is told), `states` (the table of a link), `telling` and `hearing` (pure, both ends of
the state stream), `link` (one connection), `links` (all of them, and who dials), `peers` (the room's door).
"""

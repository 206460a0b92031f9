"""
Requests of one edge's visitors to agents whose tunnels another edge has.

Decides what of the other edges' tunnels stands in the table of routes (`remote_agents`, `remote_tunnel`), and what
becomes of a stream that another edge opens here (`arrivals`, `relayed_stream`). Bytes pass as they are: the edge that
talks to the visitor reads and writes HTTP, the other one joins two streams. Must not know how edges find each other,
nor how a link is made: a link opens streams, and says from which edge one came.
"""

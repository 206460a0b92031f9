"""
The table from hostname and path to the tunnels that may serve it, and what is counted and limited on the way.

Decides which route a request takes and which tunnel's stream is lent for it. Must not know visitors' connections or
how agents are admitted: both sides hand it plain values. Begin at `table`, then `route`
and `pool`; `rules` says what path rules may cost.
"""

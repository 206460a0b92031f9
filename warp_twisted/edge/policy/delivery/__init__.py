"""
How the policy that an edge is meant to have reaches it: a file of its own, or that of the whole fleet in the registry.

Decides what is read when, what becomes of what cannot be used, and what is told of it. Must not know requests, nor what
a rule says. Begin at `following`; `fleet` is the registry's half, `applying` what operators do with it, `parsing` the
process that reads long texts, `closed` what an edge without a usable policy has in
force, `announcing` what the fleet hears of it.
"""

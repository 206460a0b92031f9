"""
The policy at the edge: which one is in force, what it is assembled from, and what becomes of a request that it judges.

`parts` reads files (`databases` those of countries) and makes checks and limiters; `loading` reads and compiles a
policy in a thread; `delivery` keeps to the one that the edge is meant to have; `in_force` is what the data path asks,
`judgement` one request before it, `passwords` the threads in which passwords are hashed. `assertion_keys` are those
that origins are told with who visitors are, `service_tokens` what programs prove themselves with, `fetched_keys` what
issuers sign with. `asked` has what agents ask for their hostnames, which `in_force` adds to the policy.
"""

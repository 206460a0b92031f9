"""
What agents' probes say of their origins, and what follows from it at this edge: in the route table, the log and DNS.

Decides when a report holds. Must not know how tunnels register, nor how a request is answered. Begin at `reports`.
"""

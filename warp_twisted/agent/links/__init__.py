"""
The agent's side of tunnels: finding edges, dialing them, keeping each link up, and leaving without losing a request.

Decides when to dial, which edge, and how long to wait after a failure. Must not know origins or how the identity came
about. Begin at `link`, then `edges`.
"""

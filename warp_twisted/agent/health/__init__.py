"""
Whether origins are well: the agent asks each that its settings say so of, again and again, and tells the edges.

Decides how an origin is asked, which answer is good, and after how many it counts as healthy or not. Must not know
tunnels or routes, nor how an origin is reached: it is handed an endpoint. Begin at `settings`, then `checks`.
"""

"""
Routing by labels: which share of a split a request belongs to, and how a visitor keeps to its share and agent.

Decides by numbers and labels only. Must not know tunnels, connections or clocks: instants and secrets are arguments.
Begin at `split`, what the document's `routing` is compiled to; `draws` and `layout` say how the choice is exact,
`cookies` and `rendezvous` how it is kept, `guard` whether a share does worse than the others.
"""

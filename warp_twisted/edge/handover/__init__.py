"""
Handing an edge over from one process to the next, on one machine, while both serve.

It decides in which order a process gives up or takes what only one of the two may have: the registry's file, new
tunnels, new visitors. `states` is the table, `line` the socket to the keeper that leads both, `steps` what each step
does. It knows nothing of requests, and does not start processes: that is the keeper's.
"""

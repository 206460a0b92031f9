"""
How the one thread of a process runs: which events it delivers in which order, how long its turns are, and what the
garbage collector may do meanwhile. Begin with `event_loop`.
"""

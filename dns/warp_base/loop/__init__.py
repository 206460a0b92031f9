"""
How the one thread of a process runs: which events it delivers in which order, how long its turns are, what the garbage
collector may do meanwhile, and what the process takes of its machine. Begin with `event_loop`.
"""

"""
The policy as people write it: which keys exist, their bounds and what each default is.

Decides what can be read and nothing about requests. Begin at `policy`, which holds all the others' shapes.
"""

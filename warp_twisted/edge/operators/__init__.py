"""
What operators see of the edge and may ask of it: the admin interface, its operations, and the control side's metrics.

Decides the form of answers and which calls exist. Must not hold state of its own: it reads the other rooms and calls
them. Begin at `operations`; `admin` is its HTTP shell.
"""

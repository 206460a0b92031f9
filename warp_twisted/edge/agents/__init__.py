"""
The agents' side of the edge: enrollment, admission, and the tunnels that are registered.

Decides who may have a tunnel, under which names, what a new tunnel replaces, and what is forgotten when. Must not know
visitors or HTTP. Begin at `tunnels`; `admission` and `offers` judge, `registrations` holds the table.
"""

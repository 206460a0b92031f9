"""
Where an edge keeps what must last: a file of its own, or the etcd that it shares with the other edges of the fleet.

It decides which of the two there is, and with which certificate etcd is asked; it does not know what is kept. Begin
with `making`.
"""

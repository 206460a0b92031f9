"""
One request and its answer: from a visitor's head to the last byte that goes back.

Decides where a request goes, whether it may, whether it is sent again, and what the visitor is answered. Must not know
sockets, TLS, how a visitor is read, or settings files: the visitor's connection is a Protocol in `interfaces`, and
`visitors` serves it. Begin at `states`, then `exchange` (the request), `answer` (the origin's words) and `splice` (what
follows an upgrade).
"""

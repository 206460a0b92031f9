"""
The issuing process: it orders the fleet's certificates from a certificate authority that speaks ACME (RFC 8555).

It decides what to order and when, has the account's key, and asks the edge over its admin socket to publish challenges
and to take certificates. It runs beside the edge, so neither the library's stalls nor its HTTP stack touch visitors,
and it opens no port. It must not know the edge's rooms: `door` is all that both know.

Begin with `orders`, the table of steps, and `schedule`, what is due when; `issuing` does it, with `authority` on one
side and `admin_socket` on the other. `supervised` is how an edge keeps the process.
"""

"""
Certificates in visitors' handshakes: which one a visitor is shown, whether it is asked for one of its own, and what a
connection that was made so may be used for.

Decides by names alone. Must not know requests, routes or what is served, nor what a policy makes of a visitor's
certificate. Begin at `directory`; `asking` is about visitors' own, by the functions of `openssl`.
"""

"""
Who the agent is: its state directory, key and certificate, how it enrolls, and how it renews.

Decides what is kept on disk and when a certificate is renewed. Must not know routes or origins. Begin at `state`, then
`enrollment`.
"""

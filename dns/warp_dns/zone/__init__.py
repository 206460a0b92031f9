"""
What a zone holds and what it answers: data, master files, live records, changes over time, transfers.

Pure: no Twisted, no clock, no log. Decides answers by RFC 1034 §4.3.2; must not know sockets or processes. Begin at
`data`, then `answer`.
"""

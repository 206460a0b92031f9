"""
`warp policy`: tools for policy files, which need no edge.

Begin at `command`; `parts` stands in for what only an edge has (counts, credentials), `asking` reads a request as it is
written on a command line, `cases` is the file of expectations.
"""

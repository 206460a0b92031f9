"""
The edge beside this name server: its live records, and the serials of a zone that a fleet numbers.

Both are answers without an end that are asked for at the edge's unix socket (`asking`): `records` has what is answered,
`serials` what is transferred. Must not know how zones are served.
"""

"""
`warp up`: exposing a local application from a terminal.

`command` reads the options, `run` runs the agent, `view` shows what happens.
"""

"""
`warp up`: exposing a local application from a terminal. `command` runs the agent, `view` shows what goes on.
"""

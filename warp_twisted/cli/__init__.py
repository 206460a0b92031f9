"""
The `warp` command: a thin face over the rooms. Only it, the demo and the tap modules read options and environment.

Decides how commands are called, what they print and how they fail. Must not decide anything that an edge or an agent
decides. Begin at `main`, the table of commands; `operate` has those for operators, `expose` has `warp up`.
"""

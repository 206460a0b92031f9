"""
`warp demo --canary`: two releases of an application side by side, and the shift from one to the other.

Begin at `demo`, then `releases`, which puts the two together; `visitors` come at a steady rate, `story` shifts them and
`view` draws what was asked for and what was sent.
"""

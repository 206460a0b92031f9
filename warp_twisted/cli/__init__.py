"""The `warp` command: a thin face over the rooms. Only it and the tap modules read options and environment."""

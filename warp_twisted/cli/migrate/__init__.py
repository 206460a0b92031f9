"""`warp migrate`: settings of other programs as ours."""

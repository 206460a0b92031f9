"""
Side by side with what a user would pick instead: nginx, HAProxy, `ssh -R` and Warp under one load.

`python -m benchmarks` runs the cases of `benchmarks.cases`, compares the figures with `benchmarks.targets`
and writes a table, the raw figures and a plot. It measures programs from outside, as a visitor and through
/proc; nothing here is imported by the product. How to run it and how to read it: README.md.
"""

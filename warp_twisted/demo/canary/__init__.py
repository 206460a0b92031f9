"""
Two releases of an application side by side, with visitors; begin at `releases`, which puts them together.
"""

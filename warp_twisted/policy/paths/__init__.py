"""
Paths: whether one can be read in two ways, and which patterns it matches.

A path that restricts (a rule's `match`) is compared as the loosest origin would: decoded, in any case, with or without
the slash at its end. A path that permits (`routes`, `except`) is compared exactly. So no spelling passes a rule. Begin
at `patterns`.
"""

"""
Commands for operators: they ask a running edge over its admin socket, or work on the authority's files.

Begin at `admin`, the client that all of them use; each command has a module of its own.
"""

"""
What stands between the visitors and the same nginx: nothing, HAProxy, `ssh -R`, or Warp.

Each module opens one peer as a context manager that yields a `Peer`; when the block ends, so do its programs.
"""

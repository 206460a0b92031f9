"""
A fresh machine: a Debian tree with git, make and python3 alone, where the committed tree is tried as newcomers would.

`make fresh` runs it, as root on Debian. What passes because this machine already has a package, a file or a newer
release of something fails here. Standard library only: it runs before there is an environment.
"""

"""
The versions of everything that Warp's environments install, one file for each promised Python and one for the lowest.

`pins` reads and writes the files, `install` installs what they say and nothing else, `refresh` is the only program
that looks for other versions. This package must know nothing of Warp itself: it runs before Warp is installed, with
the standard library alone.
"""

"""
Handing an edge over from one process to the next, on one machine, while both serve. Begin with `moving`.

It decides how agents come to the next process. It knows nothing of requests, and does not start processes.
"""

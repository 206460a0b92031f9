"""Several agents of one hostname, as programs, and an edge that chooses between them."""

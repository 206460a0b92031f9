"""Edge processes that hand over to one another, with real sockets."""

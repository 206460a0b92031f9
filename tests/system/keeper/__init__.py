"""A keeper as a process, with real sockets, signals and children."""

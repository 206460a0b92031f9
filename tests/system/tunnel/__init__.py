"""Tunnels over real sockets and real TLS."""

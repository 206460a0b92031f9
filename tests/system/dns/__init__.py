"""The DNS server on real sockets, and beside other DNS servers."""

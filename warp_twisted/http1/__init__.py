"""HTTP/1.1 as a proxy reads and writes it: bytes in, values out; no sockets, no clock, no logging."""

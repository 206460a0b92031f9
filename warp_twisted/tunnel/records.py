"""
Where TLS records begin in what a socket brings (RFC 8446 §5.1, RFC 5246 §6.2.1), without opening them.

A record of 27 bytes may ask for new keys and cost 28 µs, and one of a single byte costs as much as one of a thousand;
so `tunnel.tls` counts them, gives OpenSSL a limited number at once, and has no patience with a peer whose records
carry nothing. Pure: bytes in, offsets out.
"""

HEADER_BYTES = 5  # type (1), version (2), length (2, big endian)


class Records:
    """
    The records of one direction of one connection, which may be cut anywhere.
    """

    __slots__ = ("_header", "_left")

    def __init__(self) -> None:
        self._header = b""  # the beginning of a header that was cut
        self._left = 0  # bytes of the last record that are still to come

    def pass_over(self, data: bytes, at: int, most: int, most_bytes: int) -> tuple[int, int, int]:
        """
        Find the end of the next records.

        :param at: where to begin; what is before it was passed over.
        :param most: records that may begin; at least one.
        :param most_bytes: no record begins behind so many.
        :returns: where the record after those begins, or the length of the data; how many began; and how many ended.
        """
        size = len(data)
        behind = at + most_bytes
        begun = ended = 0
        if self._header:
            missing = HEADER_BYTES - len(self._header)
            self._header += data[at : at + missing]
            if len(self._header) < HEADER_BYTES:
                return size, 0, 0
            at += missing + (self._header[3] << 8 | self._header[4])
            self._header = b""
            ended = 1
        elif self._left:
            at += self._left
            self._left = 0
            ended = 1
        while at + HEADER_BYTES <= size:
            if begun == most or at >= behind:
                return at, begun, ended
            at += HEADER_BYTES + (data[at + 3] << 8 | data[at + 4])
            begun += 1
            ended += 1
        if at > size:
            self._left = at - size
            ended -= 1
        elif at < size:
            if begun == most or at >= behind:
                return at, begun, ended
            self._header = data[at:]
            begun += 1
        return size, begun, ended

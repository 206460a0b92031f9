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

    def pass_over(self, data: bytes, at: int, most: int) -> tuple[int, int]:
        """
        Find the end of the next records.

        :param at: where to begin; what is before it was passed over.
        :param most: records that may begin.
        :returns: where the record after those begins, or the length of the data, and how many began.
        """
        size = len(data)
        if self._header:
            missing = HEADER_BYTES - len(self._header)
            self._header += data[at : at + missing]
            at += missing
            if len(self._header) < HEADER_BYTES:
                return size, 0
            self._left = self._header[3] << 8 | self._header[4]
            self._header = b""
        at += self._left
        self._left = 0
        count = 0
        while at + HEADER_BYTES <= size:
            if count == most:
                return at, count
            at += HEADER_BYTES + (data[at + 3] << 8 | data[at + 4])
            count += 1
        if at > size:
            self._left = at - size
        elif at < size:
            if count == most:
                return at, count
            self._header = data[at:]
            count += 1
        return size, count

"""
The library's HTTP, bounded: https only, no redirects, answers of so many bytes in so many seconds.

The library signs, keeps nonces and reads problem documents. It believes the authority in all that is bounded here.
"""

import io
import ssl
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from acme import client, errors, messages
from josepy.jwa import ES256
from josepy.jwk import JWK

import warp_twisted
from warp_twisted.acme.time_limit import TooSlow, within

MAX_ANSWER_BYTES = 256 << 10  # a chain of ten certificates has about 20 KiB
CALL_SECONDS = 30.0  # for one request, from the look-up of the name to the answer's last byte
BAD_NONCES = 10  # in a row; Pebble refuses one in twenty unless told otherwise, and tests have it refuse one in five
_PIECE_BYTES = 16 << 10


class Unusable(errors.Error):
    """The authority is not asked, or its answer is not read to the end."""


def retry_seconds(retry_after: str, date: str) -> float:
    """
    Return for how long not to ask again, in seconds; 0 if nothing that is understood says so.

    An instant is compared with the server's own, so it does not matter whether our clock is right.

    :param retry_after: RFC 9110, 10.2.3: seconds, or an instant.
    :param date: the instant of the answer.
    """
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        return max((parsedate_to_datetime(retry_after) - parsedate_to_datetime(date)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return 0.0


class BoundedNetwork(client.ClientNetwork):
    """
    What asks an authority.

    :param key: the account's, or None for requests that are not signed.
    :param root: a file of certificates to verify the authority's server with; empty for the system's.
    :ivar retry_seconds: what the last answer said in Retry-After; 0 for nothing that is understood.
    :ivar status: of the last answer, 0 before there is one.
    """

    def __init__(self, key: JWK | None, root: str, call_seconds: float = CALL_SECONDS) -> None:
        super().__init__(key, alg=ES256, user_agent=f"warp/{warp_twisted.__version__}")
        system = ssl.get_default_verify_paths()
        self._verify = root or system.cafile or system.capath or True
        self._seconds = call_seconds
        self.session.trust_env = False  # no proxies, no .netrc
        self.retry_seconds = 0.0
        self.status = 0

    def _send_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:
        """
        Send a request, and read the answer within its bounds.

        :raises Unusable: if a bound is reached.
        :raises requests.exceptions.RequestException: if the authority is not reached.
        """
        if not url.startswith("https://"):
            raise Unusable(f"the authority names {url[:200]!r}, which is no https URL")
        self.retry_seconds, self.status = 0.0, 0
        headers = {**kwargs.get("headers", {}), "User-Agent": self.user_agent, "Accept-Encoding": "identity"}
        try:
            with within(self._seconds):
                response = self.session.request(
                    method,
                    url,
                    data=kwargs.get("data"),
                    headers=headers,
                    verify=self._verify,
                    allow_redirects=False,
                    stream=True,
                    timeout=self._seconds,
                )
                try:
                    content = self._content(response)
                except BaseException:
                    response.close()
                    raise
        except TooSlow as error:
            raise requests.exceptions.Timeout(f"the authority did not answer within {self._seconds:g} s") from error
        response.raw = io.BytesIO(content)
        response.encoding = "utf-8"
        self.status = response.status_code
        self.retry_seconds = retry_seconds(response.headers.get("Retry-After", ""), response.headers.get("Date", ""))
        return response

    def _content(self, response: requests.Response) -> bytes:
        pieces, size = [], 0
        while piece := response.raw.read(_PIECE_BYTES, decode_content=False):
            pieces.append(piece)
            size += len(piece)
            if size > MAX_ANSWER_BYTES:
                raise Unusable(f"the authority's answer is longer than {MAX_ANSWER_BYTES} bytes")
        response.raw.release_conn()
        return b"".join(pieces)

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Post something signed; a nonce that is refused is replaced (RFC 8555, 6.5), up to `BAD_NONCES` times."""
        for _ in range(BAD_NONCES):
            try:
                return self._post_once(*args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
                self._nonces.clear()
        return self._post_once(*args, **kwargs)

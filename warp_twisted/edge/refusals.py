"""
Why the edge itself answers a visitor instead of an origin; what is wrong with a message is `http1.refusals`'.

The list is closed, so it can label a metric. Sentences are for visitors: they say what to do, and nothing about
the owner's machines; the agent's own words go to the access log.
"""

from warp_twisted.http1.refusals import Refusal
from warp_twisted.wire.preamble import OpeningCode

UNKNOWN_HOSTNAME = Refusal(404, "unknown-hostname", "No application is published here under this hostname and path.")
MISDIRECTED_HOST = Refusal(
    421,
    "misdirected-host",
    "This secure connection was not made for this hostname. Connect anew, with it as the TLS server name (SNI).",
)
CERTIFICATE_NOT_ASKED = Refusal(
    421,
    "certificate-not-asked",
    "A certificate may be needed here, and was not asked for when this secure connection was made. Connect anew.",
)
PLAIN_ON_TLS = Refusal(400, "plain-on-tls", "This port speaks HTTPS, and was asked in plain HTTP.")
NO_TUNNEL = Refusal(503, "no-tunnel", "The application is not connected at the moment. Try again soon.")
NOT_HEALTHY = Refusal(503, "not-healthy", "The application is not well at the moment. Try again soon.")
DRAINING = Refusal(503, "draining", "This server is stopping. Try again at once: another one will answer.")
TOO_MANY_CONNECTIONS = Refusal(503, "connections", "This server has too many connections. Try again soon.")
TOO_MANY_FROM_ADDRESS = Refusal(429, "connections-per-address", "There are too many connections from your address.")
TOO_MANY_HANDSHAKES = Refusal(429, "handshakes-per-address", "There are too many new connections from your address.")
TOO_MANY_REQUESTS = Refusal(429, "requests-per-address", "There are too many requests from your address. Wait a while.")
BANNED = Refusal(403, "banned", "Your address was refused too often, and is turned away for a while.")
PATH_TOO_LONG = Refusal(414, "path-too-long", "The path is too long for the rules of this hostname.")
HEAD_TOO_SLOW = Refusal(408, "head-too-slow", "The request did not arrive in time.")
BODY_TOO_SLOW = Refusal(408, "body-too-slow", "The request body did not arrive in time.")

ORIGIN_REFUSED = Refusal(502, "origin-refused", "The application refused the connection. It may be restarting.")
ORIGIN_UNREACHABLE = Refusal(502, "origin-unreachable", "The application cannot be reached from its agent.")
ORIGIN_NAME = Refusal(502, "origin-name", "The application's own name cannot be resolved by its agent.")
ORIGIN_TLS = Refusal(502, "origin-tls", "The agent could not make a secure connection to the application.")
ORIGIN_CLOSED = Refusal(502, "origin-closed", "The application closed the connection without an answer.")
BAD_RESPONSE = Refusal(502, "bad-response", "The application's answer is not valid HTTP.")
AGENT_FAILED = Refusal(502, "agent-failed", "The application's agent failed to serve the request.")
AGENT_BUSY = Refusal(503, "agent-busy", "The application's agent takes no more requests at the moment. Try again soon.")
QUEUE_FULL = Refusal(503, "queue-full", "The application is busy, and too many wait for it already. Try again soon.")
QUEUED_TOO_LONG = Refusal(503, "queued-too-long", "The application was too busy to take the request. Try again soon.")
INTERNAL = Refusal(500, "internal", "This server failed to serve the request. Its log says why.")
CONNECT_TOO_SLOW = Refusal(504, "connect-too-slow", "The application could not be connected to in time.")
ORIGIN_TOO_SLOW = Refusal(504, "origin-too-slow", "The application did not answer in time.")

# Not answered, only logged: the answer had begun, or nobody was there to read one.
VISITOR_GONE = Refusal(499, "visitor-gone", "The visitor left before the answer was complete.")
VISITOR_TOO_SLOW = Refusal(499, "visitor-too-slow", "The visitor stopped reading the answer.")
TOO_MUCH_UNREAD = Refusal(499, "unread-bytes", "Too many visitors were too slow; this one was among the slowest.")
GAVE_WAY = Refusal(499, "gave-way", "This connection asked for nothing, and made room for a new one.")
CUT_SHORT = Refusal(502, "cut-short", "The application's answer ended early.")
STALLED = Refusal(504, "stalled", "The application's answer stopped halfway.")

OPENINGS = {
    OpeningCode.ORIGIN_REFUSED: ORIGIN_REFUSED,
    OpeningCode.ORIGIN_TIMED_OUT: CONNECT_TOO_SLOW,
    OpeningCode.TLS_FAILED: ORIGIN_TLS,
    OpeningCode.NAME_NOT_FOUND: ORIGIN_NAME,
    OpeningCode.ORIGIN_UNREACHABLE: ORIGIN_UNREACHABLE,
    OpeningCode.NO_SUCH_ROUTE: NO_TUNNEL,
    OpeningCode.DRAINING: NO_TUNNEL,
    OpeningCode.OVERLOADED: AGENT_BUSY,
    OpeningCode.INTERNAL_ERROR: AGENT_FAILED,
    OpeningCode.NOT_RELAYED_AGAIN: NO_TUNNEL,
}

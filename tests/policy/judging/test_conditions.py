"""Tests of `policy.judging.conditions`."""

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.judging.samples import request, said
from warp_twisted.policy.facts import Facts

APP = "app.warp.example"


class ConditionsTests(SynchronousTestCase):
    """Each key of a match, where it restricts and where it permits."""

    def check(self, match: str, *, restricts: list[Facts], permits: list[Facts], neither: list[Facts]) -> None:
        """Assert which requests a match denies as a rule's, and which as an exception of a rule that denies all."""
        restricting = f"rules: [{{name: r, match: {{{match}}}, deny: true}}]"
        permitting = f"rules: [{{name: r, except: [{{{match}}}], deny: true}}]"
        for facts in restricts + permits + neither:
            self.assertEqual(said(restricting, facts) == "r: denied", facts in restricts, facts)
            self.assertEqual(said(permitting, facts) == "allow", facts in permits, facts)

    def test_hostname(self) -> None:
        """Exact names, and all names below one."""
        yes = [request(host="a.example"), request(host="x.b.example"), request(host="x.y.b.example")]
        no = [request(host="b.example"), request(host="xb.example"), request(host="a.a.example")]
        self.check('hostname: [A.example, "*.b.example"]', restricts=yes, permits=yes, neither=no)

    def test_method(self) -> None:
        """GET stands for HEAD, too."""
        yes = [request("GET /"), request("HEAD /"), request("PUT /")]
        self.check("method: [GET, PUT]", restricts=yes, permits=yes, neither=[request("POST /")])

    def test_scheme(self) -> None:
        """How the visitor came."""
        yes = [request(scheme="http")]
        self.check("scheme: http", restricts=yes, permits=yes, neither=[request()])

    def test_source(self) -> None:
        """Both families; one prefix alone needs no list."""
        yes = [request(address="198.51.100.7"), request(address="2001:db8::1")]
        no = [request(address="192.0.2.1"), request(address="2001:db9::1")]
        self.check('source: [198.51.100.0/24, "2001:db8::/32"]', restricts=yes, permits=yes, neither=no)
        self.check("source: 198.51.100.0/24", restricts=yes[:1], permits=yes[:1], neither=[*no, yes[1]])

    def test_label(self) -> None:
        """One tunnel that matches restricts, only all of them permit."""
        all_ = [request(labels=[{"a": "1"}]), request(labels=[{"a": "1"}, {"a": "1", "b": "2"}])]
        some = [request(labels=[{"a": "1"}, {"a": "2"}])]
        none = [request(), request(labels=[{"a": "2"}])]
        self.check("label: a=1", restricts=all_ + some, permits=all_, neither=none)

    def test_header(self) -> None:
        """A value that some server could see restricts, only one that every server sees permits."""
        plain = [request("GET /", "x-a: 1"), request("GET /", "X-A: two")]
        doubtful = [
            request("GET /", "X_A: 1"),
            request("GET /", "X-A: 1", "X-A: 9"),
            request("GET /", "X-A: 2", "X_a: 1"),
        ]
        no = [request(), request("GET /", "X-A: 3"), request("GET /", "X-B: 1")]
        self.check('header: {X-A: ["1", "t*"]}', restricts=plain + doubtful, permits=plain, neither=no)

    def test_header_is_there(self) -> None:
        """True asks whether there is such a field, false whether there is none."""
        there, twin, none = request("GET /", "X-A: 1"), request("GET /", "X_A: 1"), request()
        self.check("header: {X-A: true}", restricts=[there, twin], permits=[there], neither=[none])
        self.check("header: {X-A: false}", restricts=[none, twin], permits=[none], neither=[there])

    def test_query(self) -> None:
        """Decoded values; given twice, or where `;` may part them, they permit nothing."""
        plain = [request("GET /?a=1"), request("GET /?b&%61=%31")]
        doubtful = [request("GET /?a=1&a=2"), request("GET /?b=2;a=1"), request("GET /?a=1&b;c")]
        no = [request("GET /"), request("GET /?a=2"), request("GET /a=1"), request("GET /?A=1")]
        self.check('query: {a: "1"}', restricts=plain + doubtful, permits=plain, neither=no)

    def test_all_keys_hold_together(self) -> None:
        """A match is a conjunction."""
        yes = [request("POST /a", host="a.example")]
        no = [request("GET /a", host="a.example"), request("POST /b", host="a.example"), request("POST /a")]
        self.check("hostname: a.example, method: POST, path: /a", restricts=yes, permits=yes, neither=no)

"""The compiled program and a plain reading of the same rules agree about any request."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.policy.judging.reference import Counts, Reading, verdict
from tests.policy.judging.samples import SampleParts, judged
from warp_twisted.configuration import convert
from warp_twisted.http1.forwarding import Forwarding
from warp_twisted.http1.limits import HeadLimits
from warp_twisted.http1.refusals import MessageRefused
from warp_twisted.http1.request import RequestReader
from warp_twisted.policy.document.policy import Policy
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.judging.compiler import compile_policy
from warp_twisted.policy.paths.spelling import ALLOWABLE
from warp_twisted.policy.visitor import Visitor

_WORDS = ["a", "b", "admin", "x.js", "\xe9"]
_HOSTS = ["a.example", "b.a.example", "c.example", "A.Example", "b.A.example:8080"]
_TOKEN = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_VALUE = st.characters(min_codepoint=0x20, max_codepoint=0xFF)
_ADDRESSES = ["192.0.2.1", "192.0.2.200", "198.51.100.1", "2001:db8::1"]


def _depth(proofs: object) -> int:
    """Return how deep lists of proofs stand within each other."""
    if not isinstance(proofs, dict):
        return 0
    inner = [each for key in ("any_of", "all_of") for each in proofs.get(key, ())]
    return 1 + max(map(_depth, inner)) if inner else 0


def _some(values: st.SearchStrategy[str], most: int = 3) -> st.SearchStrategy[list[str]]:
    return st.lists(values, min_size=1, max_size=most)


_segments = st.lists(st.sampled_from([*_WORDS, "*", "a*", "*.js", "*d*n"]), max_size=3)
_patterns = st.builds(
    lambda parts, end: "/" + "/".join([*parts, *end]), _segments, st.sampled_from([[], ["*"], [""]])
).filter(lambda text: "//" not in text)
_routes = st.builds("{}{}".format, st.sampled_from(["", "GET ", "POST "]), _patterns)
_prefixes = st.sampled_from(["192.0.2.0/24", "192.0.2.200", "2001:db8::/32", "0.0.0.0/0", "198.51.100.0/25"])
_wanted = st.one_of(st.booleans(), _some(st.sampled_from(["1", "2", "1*", "*2*"]), 2))
_matches = st.fixed_dictionaries(
    {},
    optional={
        "hostname": _some(st.sampled_from(["a.example", "*.example", "*.a.example"])),
        "path": _some(_patterns),
        "method": _some(st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "M-SEARCH"])),
        "header": st.dictionaries(st.sampled_from(["X-A", "x_b", "Cookie", "User-Agent"]), _wanted, min_size=1),
        "query": st.dictionaries(st.sampled_from(["q", "\xe9"]), _wanted, min_size=1),
        "source": _some(_prefixes),
        "scheme": st.sampled_from(["http", "https"]),
        "label": st.sampled_from(["r=1", "r=2", "r!=1"]),
    },
)
_proof = st.sampled_from(
    [{"basic": {"users_file": "u"}}, {"service_token": {}}, {"jwt": {"jwks_file": "k", "issuer": "i", "audience": "a"}}]
)
_proofs = st.lists(_proof, min_size=1, max_size=2)
_several = st.recursive(
    st.one_of(st.fixed_dictionaries({"any_of": _proofs}), st.fixed_dictionaries({"all_of": _proofs})),
    lambda inner: st.builds(
        lambda key, proofs: {key: proofs},
        st.sampled_from(["any_of", "all_of"]),
        st.lists(st.one_of(_proof, inner), min_size=1, max_size=2),
    ),
    max_leaves=4,
)
_authenticate = st.builds(
    lambda proofs, more: {**proofs, **more},
    _several.filter(lambda proofs: _depth(proofs) <= 4),
    st.fixed_dictionaries({}, optional={"cors_preflight": st.booleans()}),
)
_limits = st.lists(
    st.builds(
        lambda counted, more: {**counted, **more},
        st.one_of(
            st.fixed_dictionaries({"rate": st.just("1/h"), "burst": st.integers(1, 3)}),
            st.fixed_dictionaries({"of": st.just("concurrent_requests"), "most": st.integers(1, 3)}),
        ),
        st.fixed_dictionaries(
            {"name": st.sampled_from(["one", "two", "three"])},
            optional={
                "key": st.sampled_from(["visitor", "hostname", "identity", {"header": "X-A"}, {"header": "x.b"}]),
                "per": st.sampled_from(["hostname", "all"]),
            },
        ),
    ),
    min_size=1,
    max_size=2,
    unique_by=lambda limit: str(limit["name"]),
)
_body = {
    "except": st.lists(st.one_of(_patterns, _matches.filter(bool)), min_size=1, max_size=2),
    "sources": st.dictionaries(st.sampled_from(["allow", "deny"]), _some(_prefixes), min_size=1),
    "routes": _some(_routes, 4),
    "odd_paths": st.lists(st.sampled_from(sorted(ALLOWABLE)), min_size=1, max_size=6, unique=True),
    "https": st.just("redirect"),
    "authenticate": _authenticate,
    "limits": _limits,
    "request": st.fixed_dictionaries(
        {"set": st.dictionaries(st.sampled_from(["X-Team", "X-A"]), st.just("t"), min_size=1)}
    ),
    "log_only": st.booleans(),
}
_rules = st.lists(
    st.fixed_dictionaries({"match": _matches}, optional={**_body, "deny": st.booleans()}), min_size=1, max_size=5
)
_policies = st.builds(
    lambda defaults, rules: {
        "defaults": defaults,
        "rules": [{"name": f"r{number}", **rule} for number, rule in enumerate(rules)],
    },
    st.fixed_dictionaries({}, optional={key: value for key, value in _body.items() if key != "routes"}),
    _rules,
)

_odd = [
    "%2f",
    "%2F",
    "%5c",
    "\\",
    "..",
    ".",
    "%2e",
    ";x",
    "%3b",
    "%00",
    "%25",
    "%252f",
    "%61",
    "%zz",
    "%c0%af",
    "%",
    "%3f",
]
_pieces = st.sampled_from(
    ["/", "/", "/", *_WORDS[:-1], "ADMIN", "A", "%C3%A9", "%c3%89", "%20", "%ef%bd%81", "%E2%80%8D", ".", *_odd]
)
_paths = st.builds(lambda pieces: "/" + "".join(pieces), st.lists(_pieces, max_size=8))
_queries = st.lists(st.sampled_from(["q=1", "q=2", "q", "%71=12", "&", ";", "x=y", "+", "%C3%A9=1"]), max_size=4)
_targets = st.one_of(
    st.builds(lambda path, query: path + ("?" + "&".join(query) if query else ""), _paths, _queries),
    st.sampled_from(["*", "/", "/admin", "/a/b/x.js", "http://a.example/admin?q=1"]),
    st.text(st.characters(min_codepoint=0, max_codepoint=0xFF), max_size=12).map("/".__add__),
)
_lines = st.lists(
    st.one_of(
        st.builds(
            "{}: {}".format, st.sampled_from(["X-A", "x-a", "X_A", "X-B", "x_b"]), st.sampled_from(["1", "2", "12", ""])
        ),
        st.builds(
            "Authorization: {} {}".format,
            st.sampled_from(["basic", "jwt", "service_token"]),
            st.sampled_from(["alice", "bad", "busy", "bug"]),
        ),
        st.text(_VALUE, max_size=8).map("X-A: ".__add__),
        st.sampled_from(
            ["Origin: https://a.example", "Access-Control-Request-Method: PUT", "access_control_request.method: x"]
        ),
        st.builds(
            "{}: {}".format, st.sampled_from(["X.A", "x~a", "x-B", "Cookie", "User-Agent"]), st.text(_VALUE, max_size=4)
        ),
        st.builds("{}:{}".format, st.text(_TOKEN, min_size=1, max_size=6), st.text(_VALUE, max_size=8)),
        st.text(_VALUE, max_size=16),
    ),
    max_size=5,
)
_preflights = _lines.map(lambda lines: [*lines, "Origin: https://a.example", "Access-Control-Request-Method: PUT"])


def facts_of(line: str, host: str, lines: list[str], scheme: str, address: str, labels: list[str]) -> Facts | None:
    """Read a request as the edge does; None if it is refused before a policy sees it."""
    head = "\r\n".join([f"{line} HTTP/1.1", f"Host: {host}", *lines, "", ""]).encode("latin-1")
    reader = RequestReader(HeadLimits(), Forwarding(address=address, scheme=scheme))
    try:
        read = reader.read(head)
    except MessageRefused:
        return None
    if read is None:
        return None
    visitor = Visitor(address, address)
    tunnels = tuple({"r": label} for label in labels)
    return Facts(
        read.fields.host, read.method, read.target, scheme, visitor, read.lines, tunnels, spelt=read.fields.spelt
    )


class ReferenceTests(SynchronousTestCase):
    """Two readings of one policy."""

    @settings(max_examples=300, deadline=None)
    @given(
        _policies,
        st.lists(
            st.builds(
                facts_of,
                st.one_of(
                    st.builds("{} {}".format, st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "OPTIONS"]), _targets),
                    st.builds("{} {}".format, st.text(_TOKEN, min_size=1, max_size=8), _targets),
                    st.text(_VALUE, max_size=16),
                ),
                st.sampled_from(_HOSTS),
                st.one_of(_lines, _lines, _preflights),
                st.sampled_from(["http", "https"]),
                st.sampled_from(_ADDRESSES),
                st.lists(st.sampled_from("12"), max_size=2),
            ),
            min_size=4,
            max_size=12,
        ),
    )
    def test_agreement(self, raw: dict[str, object], requests: list[Facts | None]) -> None:
        """Rule and reason are the same, what rules that only log would have done, who is proven, and what is added."""
        document = convert(raw, Policy, "policy")
        policy = compile_policy(document, SampleParts())
        counts = Counts()
        for facts in [*requests, *requests]:  # the second time with what was counted, and remembered
            if facts is not None:
                found = judged(policy, facts)
                objection = found.objection
                said = "allow" if objection is None else f"{objection.rule}: {objection.reason.slug}"
                would = [f"{each.rule}: {each.reason.slug}" for each in found.would]
                people = [(each.kind, each.subject) for each in found.identities] if objection is None else []
                added = b"".join(each.lines for each in found.request).decode().split("\r\n")[:-1]
                self.assertEqual(Reading(said, would, people, added), verdict(document, facts, counts), facts)

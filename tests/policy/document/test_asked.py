"""Tests of `warp_twisted.policy.document.asked`."""

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.policy.document.asked import (
    MAX_LIMITS_IN_ALL,
    MAX_LISTS_IN_ALL,
    MAX_PREFIXES,
    MAX_USERS,
    NAME,
    AskedPolicy,
)
from warp_twisted.policy.document.authentication import Basic, Proof
from warp_twisted.policy.errors import InvalidPolicy

HASH = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21l$WYnoErK4FyQ8BFhs0YpkpJdS1QvqyHVXk5bfvhl7pGg"
SOURCES = {"allow": ["192.0.2.0/24", "2001:db8::/32"]}
LIMIT = {"name": "rate", "rate": "50/s"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("rules", "hostnames", "sources", "allow", "limits", "authenticate", "basic", "users")),
            inner,
            max_size=3,
        )
    ),
)


def basic(**changes: object) -> dict[str, object]:
    """Return what asks for a password."""
    return {"any_of": [{"basic": {"users": {"ann": HASH}, **changes}}]}


def asked(*hostnames: str, **keys: object) -> str:
    """Return the text of a policy of one rule."""
    return json.dumps({"rules": [{"hostnames": hostnames, **keys}]})


class AskedPolicyTests(SynchronousTestCase):
    """`AskedPolicy`."""

    def test_in_the_operators_language(self) -> None:
        """Each rule is one of the operators' language; users are named as files, by their place."""
        text = asked("a.example", "", sources=SOURCES, limits=[LIMIT], authenticate=basic(realm="Staff"))
        (rule,) = AskedPolicy.parse(text).rules
        found = rule.rule()
        assert found.sources is not None
        assert found.limits is not None
        assert found.authenticate is not None
        self.assertEqual((found.name, found.sources.allow, found.sources.deny), (NAME, SOURCES["allow"], None))
        self.assertEqual([limit.rate for limit in found.limits], ["50/s"])
        self.assertFalse(found.authenticate.assertion)  # it could tell the origin whom another rule has proven
        self.assertEqual(found.authenticate.any_of, [Proof(basic=Basic(users_file="0", realm="Staff"))])
        self.assertEqual([dict(each.users) for each in rule.proofs], [{"ann": HASH}])
        self.assertEqual(rule.hostnames, ["a.example", ""])

    def test_round_trip(self) -> None:
        """What is written is read as the same."""
        policy = AskedPolicy.parse(asked("a.example", sources={"deny": ["192.0.2.1"]}, authenticate=basic()))
        self.assertEqual(AskedPolicy.parse(policy.text()), policy)

    def test_content(self) -> None:
        """What is asked of several hostnames alike has one content, and whatever differs another."""
        rules = [
            AskedPolicy.parse(text).rules[0]
            for text in (
                asked("a.example", sources=SOURCES),
                asked("b.example", "c.example", sources=SOURCES),
                asked("a.example", sources=SOURCES, limits=[LIMIT]),
            )
        ]
        self.assertEqual(rules[0].content, rules[1].content)
        self.assertNotEqual(rules[0].content, rules[2].content)

    def test_no_hash_is_shown(self) -> None:
        """The repr names no user and no hash."""
        policy = AskedPolicy.parse(asked("a.example", authenticate=basic()))
        self.assertNotIn("argon2", repr(policy))

    def test_refused(self) -> None:
        """What is not known, out of bounds, widens, or needs a file or the network is refused by its place."""
        many = {f"u{number}": HASH for number in range(MAX_USERS + 1)}
        prefixes = [f"192.0.2.{number % 256}" for number in range(MAX_PREFIXES + 1)]
        for text, problem in (
            ("", "truncated"),
            ("[]", "Expected `object`"),
            ('{"rules": []}', "length >= 1"),
            (asked("a.example"), "expected one of sources, limits, authenticate"),
            (asked("a.example", sources=SOURCES, deny=True), "unknown field `deny`"),
            (asked("a.example", sources=SOURCES, log_only=True), "unknown field `log_only`"),
            (asked("a.example", sources={}), "expected allow, deny or both"),
            (asked("a.example", sources={"allow": []}), "length >= 1"),
            (asked("a.example", sources={"allow": prefixes}), "length <= 256"),
            (asked("a.example", sources={"allow": [{"file": "x"}]}), "Expected `str`"),
            (asked("a.example", sources={"allow": ["10.0.0.1/8"]}), r"allow\[0\]: '10.0.0.1/8' is one address"),
            (asked("a.example", limits=[LIMIT, LIMIT]), "the name of an earlier limit"),
            (asked("a.example", limits=[{**LIMIT, "of": "connections"}]), "an agent limits requests and"),
            (asked("a.example", limits=[{**LIMIT, "per": "all"}]), "each of its hostnames"),
            (asked("a.example", limits=[{**LIMIT, "rate": "fast"}]), "rate: expected a rate"),
            (
                asked("a.example", limits=[{**LIMIT, "name": "rate\n"}]),
                "matching regex",
            ),  # it goes into an answer's head
            (asked("a.example", authenticate={"any_of": []}), "length >= 1"),
            (asked("a.example", authenticate={"any_of": [{"jwt": {}}]}), "unknown field `jwt`"),
            (asked("a.example", authenticate={"any_of": [{"basic": {"users_file": "/etc/x"}}]}), "users"),
            (asked("a.example", authenticate=basic(users={})), "length >= 1"),
            (asked("a.example", authenticate=basic(users=many)), "length <= 256"),
            (asked("a.example", authenticate=basic(realm='a"b')), "realm: expected printable ASCII"),
            (asked("a.example", authenticate={**basic(), "assertion": True}), "unknown field `assertion`"),
        ):
            with self.assertRaisesRegex(InvalidPolicy, problem, msg=text):
                AskedPolicy.parse(text)

    def test_bounds_in_all(self) -> None:
        """What has counts or answers of its own is bounded over all rules; rules that ask the same count once."""
        same = [{"hostnames": [f"h{number}.example"], "limits": [LIMIT]} for number in range(64)]
        self.assertEqual(len(AskedPolicy.parse(json.dumps({"rules": same})).rules), 64)
        for most, problem, key in (
            (MAX_LIMITS_IN_ALL, "17 limits in all rules that differ; 16 is most", "limits"),
            (MAX_LISTS_IN_ALL, "9 lists of users in all rules that differ; 8 is most", "authenticate"),
        ):
            rules = [
                {"hostnames": [], key: [{**LIMIT, "rate": f"{n + 1}/s"}] if key == "limits" else basic(realm=f"r{n}")}
                for n in range(most + 1)
            ]
            AskedPolicy.parse(json.dumps({"rules": rules[:most]}))
            with self.assertRaisesRegex(InvalidPolicy, problem):
                AskedPolicy.parse(json.dumps({"rules": rules}))

    @given(JSON.map(json.dumps) | st.text())
    def test_any_text(self, text: str) -> None:
        """Whatever an agent sends, it is read or refused, and nothing else is raised."""
        try:
            policy = AskedPolicy.parse(text)
        except InvalidPolicy:
            return
        self.assertTrue(policy.rules)

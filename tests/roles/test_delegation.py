"""Tests of `check_delegation.py`: what a parent zone says, and what the operator is told to set."""

import dns.exception
import dns.message
import dns.name
from twisted.trial.unittest import SynchronousTestCase

from tests.roles.tree import ROOT, load

_PROGRAM = load(ROOT / "roles/warp_common/files/check_delegation.py")
_ZONE = "apps.fleet.net"
_SERVERS = [
    {"name": "ns-edge1", "addresses": ["192.0.2.1", "2001:db8::1"]},
    {"name": "ns1", "addresses": ["192.0.2.2"]},
]
_RIGHT = {f"ns-edge1.{_ZONE}.": {"192.0.2.1", "2001:db8::1"}, f"ns1.{_ZONE}.": {"192.0.2.2"}}
_REFERRAL = f"""id 1
opcode QUERY
rcode NOERROR
;QUESTION
{_ZONE}. IN NS
;AUTHORITY
{_ZONE}. 3600 IN NS NS-edge1.{_ZONE}.
{_ZONE}. 3600 IN NS ns1.{_ZONE}.
;ADDITIONAL
ns-edge1.{_ZONE}. 3600 IN A 192.0.2.1
ns-edge1.{_ZONE}. 3600 IN AAAA 2001:db8::1
ns1.{_ZONE}. 3600 IN A 192.0.2.2
other.{_ZONE}. 3600 IN A 192.0.2.9
"""


class DelegationTests(SynchronousTestCase):
    """A fleet with two name servers."""

    def warning(self, parent: dict[str, set[str]]) -> str:
        """Return what is said if the parent zone says so."""
        return str(_PROGRAM.check(_ZONE, _SERVERS, lambda _: parent)["warning"])

    def test_right(self) -> None:
        """A delegation with its glue is no warning; nor is one without any glue, from a server of both zones."""
        self.assertEqual(_PROGRAM.check(_ZONE, _SERVERS, lambda _: _RIGHT), {"warning": "", "lines": []})
        self.assertEqual(self.warning({name: set() for name in _RIGHT}), "")

    def test_wrong(self) -> None:
        """Each difference is a sentence that names the servers."""
        (edge, secondary) = _RIGHT
        for parent, said in (
            ({}, f"the parent zone does not delegate {_ZONE}"),
            ({edge: _RIGHT[edge]}, f"the parent zone of {_ZONE} does not name {secondary}"),
            (_RIGHT | {"old.fleet.net.": set()}, f"the parent zone of {_ZONE} names old.fleet.net., which this fleet"),
            (_RIGHT | {edge: {"192.0.2.7"}}, f"the parent zone of {_ZONE} has other addresses for {edge}: 192.0.2.7"),
        ):
            self.assertIn(said, self.warning(parent))

    def test_lines(self) -> None:
        """With a warning come the lines to set, delegation first."""
        self.assertEqual(
            _PROGRAM.check(_ZONE, _SERVERS, lambda _: {})["lines"],
            [
                f"{_ZONE}. 3600 IN NS ns-edge1.{_ZONE}.",
                f"{_ZONE}. 3600 IN NS ns1.{_ZONE}.",
                f"ns-edge1.{_ZONE}. 3600 IN A 192.0.2.1",
                f"ns-edge1.{_ZONE}. 3600 IN AAAA 2001:db8::1",
                f"ns1.{_ZONE}. 3600 IN A 192.0.2.2",
            ],
        )

    def test_nobody_answers(self) -> None:
        """A parent that cannot be asked is a warning with the reason, and the lines to set all the same."""

        def ask(_: object) -> dict[str, set[str]]:
            raise dns.exception.Timeout

        found = _PROGRAM.check(_ZONE, _SERVERS, ask)
        self.assertIn(f"the delegation of {_ZONE} was not looked at: ", found["warning"])
        self.assertEqual(len(found["lines"]), 5)

    def test_reserved_names(self) -> None:
        """Names that nobody can register have no parent to ask."""

        def ask(_: object) -> dict[str, set[str]]:
            self.fail("nobody is to be asked")

        for zone in ("warp.example", "apps.example.com", "warp.test", "warp.localhost"):
            self.assertEqual(_PROGRAM.check(zone, _SERVERS, ask), {"warning": "", "lines": []})

    def test_referral(self) -> None:
        """Of a referral the name servers count, in any case of letters, and the addresses of these."""
        answer = dns.message.from_text(_REFERRAL)
        self.assertEqual(_PROGRAM.delegation(dns.name.from_text(_ZONE), answer), _RIGHT)

"""`benchmarks.cases.policy`: what is measured is what the case says."""

import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.cases.policy import HOSTNAMES, PREFIXES, RULES, TOKENS, write_files
from benchmarks.peers.peer import OTHER_HOSTNAME, WEB_HOSTNAME
from warp_twisted.edge.policy.loading import load
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.verdict import ALLOWED, UNPROVEN
from warp_twisted.policy.visitor import Visitor


class PolicyTests(SynchronousTestCase):
    """The policies and what belongs to them."""

    def setUp(self) -> None:
        """Write everything."""
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        write_files(self.directory)

    def test_size(self) -> None:
        """It has so many rules, hostnames and prefixes; the other hostname has no program."""
        compiled = load(str(self.directory / "whole.yaml"), str(self.directory), {})[0].compiled
        self.assertEqual(len(compiled.rules), RULES)
        everywhere = compiled.rules[0].hostnames
        assert everywhere is not None
        self.assertEqual(len(everywhere.names), HOSTNAMES)
        self.assertIsNone(compiled.program_for(OTHER_HOSTNAME))
        self.assertEqual(len((self.directory / "prefixes.txt").read_text().split()), PREFIXES)

    def test_requests_pass(self) -> None:
        """Each token lets a visitor from this machine in, by rules that look at all there is; without one nobody is."""
        tokens = (self.directory / "tokens.txt").read_text().split()
        self.assertEqual(len(set(tokens)), TOKENS)
        visitor = Visitor("127.0.0.1", "127.0.0.1")
        for name, is_asserted in (("whole.yaml", False), ("asserted.yaml", True)):
            program = load(str(self.directory / name), str(self.directory), {})[0].compiled.program_for(WEB_HOSTNAME)
            assert program is not None
            for token in (tokens[0], tokens[-1]):
                lines = f"Authorization: Bearer {token}\r\n".encode()
                facts = Facts(WEB_HOSTNAME, b"GET", b"/varied/item/7", "http", visitor, lines)
                verdict = program.judge(facts, 1.0, time.time())
                self.assertIsNone(verdict.objection)
                self.assertEqual((len(verdict.identities), verdict.asserted), (1, is_asserted))
                self.assertIsNot(verdict, ALLOWED)
            objection = program.judge(
                Facts(WEB_HOSTNAME, b"GET", b"/varied/item/7", "http", visitor), 1.0, 1.0
            ).objection
            self.assertEqual(objection and objection.reason, UNPROVEN)

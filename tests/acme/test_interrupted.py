"""An order that is cut short between any two steps: the next process goes on, or begins anew."""

import contextlib

from tests.acme.issuing_case import IssuingCase
from warp_twisted.acme.authority import Authority, Proof
from warp_twisted.acme.door import DnsChallenge

STEPS = [
    "begun", "account", "account", "ordered", "publish", "publish", "finalized", "certificate", "issued",
]  # fmt: skip


class Killed(BaseException):
    """The process is gone, as by kill -9: nothing is cleaned up."""


class InterruptedTests(IssuingCase):
    """Each test kills the process once at each step of an order."""

    def test_before_each_step(self) -> None:
        """Killed before the edge is told of a step, whichever it is, the certificate is there in the end."""
        seen = self._seen()
        self.assertEqual(seen, STEPS)
        for number in range(len(seen)):
            self._begin_anew()
            self._kill_at(number)
            with self.assertRaises(Killed):
                self.issuing().look()
            self._come_back(f"killed before call {number}")

    def test_after_each_answer(self) -> None:
        """Killed when the authority has answered, before anything is made of it, the certificate is there as well."""
        for name in ("register", "order", "order_state", "name_state", "look", "finalize", "certificate"):
            self._begin_anew()
            original = getattr(Authority, name)

            def killed(*arguments: object, original: object = original) -> None:
                assert callable(original)
                original(*arguments)
                raise Killed

            self.patch(Authority, name, killed)
            with self.assertRaises(Killed):
                self.issuing().look()
            self.patch(Authority, name, original)
            self._come_back(f"killed after {name}")

    def test_killed_at_each_start(self) -> None:
        """A process that dies whenever it has ordered asks the authority no more often than one whose orders fail."""
        original = Authority.order

        def killed(authority: Authority, names: tuple[str, ...], profile: str, replaces: str) -> str:
            original(authority, names, profile, replaces)
            raise Killed

        self.patch(Authority, "order", killed)
        for _ in range(360):  # started again every ten seconds, for an hour
            with contextlib.suppress(Killed):
                self.issuing().look()
            self.later(10)
        self.assertEqual(self.directory.done["newOrder"], 4)
        self.assertEqual(self.order.failures, 4)

    def test_looked_once(self) -> None:
        """A proof that the authority was told of before is not told again."""
        original = Authority.look

        def killed(authority: Authority, proof: Proof) -> None:
            original(authority, proof)
            raise Killed

        self.patch(Authority, "look", killed)
        with self.assertRaises(Killed):
            self.issuing().look()
        self.patch(Authority, "look", original)
        self.issuing().look()
        self.assertEqual((self.order.step, self.directory.done["challenge"]), ("issued", 2))

    def _seen(self) -> list[str]:
        """Return what the edge is told in an order that nothing disturbs."""
        self._begin_anew()
        seen: list[str] = []
        self.door.happened = seen.append
        self.issuing().look()
        return seen

    def _begin_anew(self) -> None:
        self.door.account = None
        self.door.orders.clear()
        self.door.certificates.clear()
        self.door.published.clear()
        self.door.happened = lambda what: None
        self.directory.done.clear()

    def _kill_at(self, number: int) -> None:
        left = iter(range(number))

        def happened(what: str) -> None:
            if next(left, None) is None:
                raise Killed

        self.door.happened = happened

    def _come_back(self, when: str) -> None:
        """Start the process anew until the certificate is there: it may be once more after the pause of a failure."""
        self.door.happened = lambda what: None
        self.door.published.clear()  # the leases of what was published have run out
        self.issuing().look()
        if "warp.example" not in self.door.certificates:
            self.assertEqual(self.order.step, "begun", when)
            self.later(100)
            self.issuing().look()
        self.assertEqual(self.order.step, "issued", when)
        self.assertIn("warp.example", self.door.certificates, when)
        self.assertLessEqual(self.directory.done["newOrder"], 2, when)
        self.assertEqual([each for each in self.door.published if isinstance(each, DnsChallenge)], [], when)

"""Tests for warp_twisted.acme.schedule."""

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.acme.door import Order, Postponed, Settings, View
from warp_twisted.acme.schedule import (
    ASK_WINDOW_SECONDS,
    LONGEST_WAIT_SECONDS,
    What,
    asked,
    renewal_without_window,
    tasks,
    wait_seconds,
)

NOW = 1_800_000_000.0
DAY = 86400.0
URL = "https://ca.example/directory"
ISSUED = Order(
    name="a.example",
    names=("a.example", "*.a.example"),
    directory=URL,
    step="issued",
    certificate="a.b",
    issued_at=NOW - 30 * DAY,
    expires_at=NOW + 60 * DAY,
    renew_at=NOW + 30 * DAY,
    ask_window_at=NOW + 3600,
)


def view(*orders: Order, wanted: tuple[tuple[str, ...], ...] = (ISSUED.names,)) -> View:
    """Return what an edge says."""
    settings = Settings(directory=URL)
    return View(edge="edge1", zone="a.example", nameservers=(), wanted=wanted, settings=settings, orders=orders)


class TaskTests(SynchronousTestCase):
    """What is due."""

    def assert_due(self, order: Order | None, *due: What, now: float = NOW, directory: str = URL) -> None:
        """Assert what is due for one order."""
        found = tasks(view(*([] if order is None else [order])), directory, now)
        self.assertEqual([task.what for task in found], list(due))

    def test_new(self) -> None:
        """What is wanted and was never ordered is due."""
        self.assert_due(None, What.ORDER)

    def test_in_force(self) -> None:
        """A certificate in force is due when it is to be renewed; before, the authority is asked when that is."""
        self.assert_due(ISSUED)
        self.assert_due(ISSUED, What.ASK_WINDOW, now=NOW + 3600)
        self.assert_due(ISSUED, What.ORDER, What.ASK_WINDOW, now=NOW + 30 * DAY)
        self.assert_due(replace(ISSUED, renew_at=0.0), What.ORDER)
        self.assert_due(replace(ISSUED, renew_at=0.0, not_before=NOW + 1))

    def test_under_way(self) -> None:
        """An order that is under way is resumed, after its pause."""
        for step in ("ordered", "finalized"):
            order = replace(ISSUED, step=step, url="u")
            self.assert_due(order, What.RESUME)
            self.assert_due(replace(order, not_before=NOW + 60))

    def test_changed(self) -> None:
        """Other names, or another authority, are ordered without a pause if the last order was well."""
        self.assert_due(replace(ISSUED, names=("a.example",), not_before=NOW + 60), What.ORDER)
        self.assert_due(replace(ISSUED, not_before=NOW + 60), What.ORDER, directory="https://other.example/")
        self.assert_due(replace(ISSUED, step="failed", not_before=NOW + 60), directory="https://other.example/")

    def test_same_names(self) -> None:
        """The order of names does not matter."""
        found = tasks(view(ISSUED, wanted=(("a.example", "*.a.example"),)), URL, NOW)
        self.assertEqual(found, [])

    def test_failed(self) -> None:
        """What failed, or was begun by a process that died, waits for its pause."""
        for step in ("failed", "begun"):
            self.assert_due(replace(ISSUED, step=step, not_before=NOW + 60))
            self.assert_due(replace(ISSUED, step=step, not_before=NOW), What.ORDER)

    def test_postponed(self) -> None:
        """A name that failed in one certificate puts off another that has it."""
        other = Order(name="b", names=("b",), postponed={"a.example": Postponed(failures=1, until=NOW + 60)})
        self.assertEqual(tasks(view(other), URL, NOW), [])
        self.assertEqual([task.what for task in tasks(view(other), URL, NOW + 60)], [What.ORDER])

    def test_wrong_clock(self) -> None:
        """A pause that is longer than any that is ever made was kept by a clock that was wrong: it is over."""
        for step, due in (("failed", What.ORDER), ("ordered", What.RESUME)):
            self.assert_due(replace(ISSUED, step=step, url="u", not_before=NOW + 365 * DAY), due)
        self.assert_due(replace(ISSUED, ask_window_at=NOW + 365 * DAY), What.ASK_WINDOW)
        self.assert_due(replace(ISSUED, renew_at=NOW + 365 * DAY))

    def test_urgency(self) -> None:
        """Revocations come first, then what is under way, then what has no certificate, then what ends first."""
        names = ("d", "c", "b", "a")
        orders = (
            replace(ISSUED, name="a", names=("a",), revoke=True),
            replace(ISSUED, name="b", names=("b",), step="ordered", url="u"),
            replace(ISSUED, name="d", names=("d",), renew_at=NOW),
        )
        found = tasks(view(*orders, wanted=tuple((name,) for name in names)), URL, NOW)
        self.assertEqual(
            [(task.what, task.order.name) for task in found],
            [(What.REVOKE, "a"), (What.RESUME, "b"), (What.ORDER, "c"), (What.ORDER, "d")],
        )

    def test_wait(self) -> None:
        """The next look is when something is due, at the latest after five minutes."""
        self.assertEqual(wait_seconds(view(ISSUED), URL, NOW), LONGEST_WAIT_SECONDS)
        self.assertEqual(wait_seconds(view(ISSUED), URL, NOW + 3590), 10)
        self.assertEqual(wait_seconds(view(), URL, NOW), 0)


class RenewalTests(SynchronousTestCase):
    """When a certificate is renewed."""

    def test_without_window(self) -> None:
        """A third of its life before it ends, a thirtieth of it earlier by chance, however long it lives."""
        for life in (6 * DAY, 90 * DAY):
            self.assertAlmostEqual(renewal_without_window(NOW, NOW + life, 0.0), NOW + life * 2 / 3)
            self.assertAlmostEqual(renewal_without_window(NOW, NOW + life, 1.0), NOW + life * 19 / 30)

    def test_drawn_once(self) -> None:
        """An instant is drawn from a window once; another window is drawn from anew."""
        window = (NOW + 10 * DAY, NOW + 12 * DAY)
        first = asked(ISSUED, window, 600, NOW, 0.5)
        self.assertEqual((first.renew_at, first.ask_window_at), (NOW + 11 * DAY, NOW + 600))
        self.assertEqual(asked(first, window, 600, NOW, 0.9).renew_at, NOW + 11 * DAY)
        self.assertEqual(asked(first, (NOW, NOW + DAY), 600, NOW, 0.5).renew_at, NOW + DAY / 2)

    def test_no_window(self) -> None:
        """No window, or one that ends before it begins, leaves the instant; the authority is asked after six hours."""
        for window in (None, (NOW, NOW), (NOW + 1, NOW)):
            order = asked(ISSUED, window, 0, NOW, 0.5)
            self.assertEqual((order.renew_at, order.ask_window_at), (ISSUED.renew_at, NOW + ASK_WINDOW_SECONDS))

    def test_window_too_late(self) -> None:
        """A window after the end of the certificate does not let it end."""
        order = asked(ISSUED, (NOW + 100 * DAY, NOW + 200 * DAY), 0, NOW, 0.5)
        self.assertLess(order.renew_at, order.expires_at - 5 * DAY)

    def test_due_stays_due(self) -> None:
        """What an operator wants renewed is not put off by a window."""
        wanted = replace(ISSUED, renew_at=0.0)
        self.assertEqual(asked(wanted, (NOW + DAY, NOW + 2 * DAY), 0, NOW, 0.5).renew_at, 0.0)

    def test_asked_again(self) -> None:
        """The authority is asked again no sooner than after a minute, and no later than after a day."""
        self.assertEqual(asked(ISSUED, None, 1, NOW, 0.5).ask_window_at, NOW + 60)
        self.assertEqual(asked(ISSUED, None, 1e9, NOW, 0.5).ask_window_at, NOW + DAY)

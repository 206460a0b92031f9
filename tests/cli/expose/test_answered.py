"""Tests of which URLs are held back, and for how long."""

from collections.abc import Mapping, Sequence

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.events import Dialing, Event, NameUnanswered, Published
from warp_twisted.cli.expose.answered import MAX_HOSTNAMES, WAIT_SECONDS, AnsweredNames

SERVERS = {"ns1.warp.example": ["192.0.2.1:53"]}
MISSING = NameUnanswered(
    hostname="app.warp.example", server="ns1.warp.example", address="192.0.2.1:53", answer="NXDOMAIN"
)


def published(
    *names: str, zone: str = "warp.example", servers: Mapping[str, Sequence[str]] = SERVERS, plain: bool = False
) -> Published:
    """Return the event of these names."""
    urls, plain_urls = ({f"{scheme}://{name}:8": "http://localhost" for name in names} for scheme in ("https", "http"))
    servers_ = {name: list(each) for name, each in servers.items()}
    return Published(urls=urls, plain_urls=plain_urls if plain else {}, zone=zone, name_servers=servers_)


class AnsweredNamesTests(SynchronousTestCase):
    """Servers that answer when the test says so."""

    def setUp(self) -> None:
        """Nothing was told."""
        self.told: list[Event] = []
        self.waits: list[tuple[Sequence[str], Deferred[list[NameUnanswered]]]] = []
        self.names = AnsweredNames(self.told.append, self.wait)

    def wait(
        self, hostnames: Sequence[str], name_servers: Mapping[str, Sequence[str]], seconds: float
    ) -> Deferred[list[NameUnanswered]]:
        """Note who is waited for."""
        self.assertEqual((name_servers, seconds), (SERVERS, WAIT_SECONDS))
        self.waits.append((hostnames, Deferred()))
        return self.waits[-1][1]

    def asked(self) -> list[list[str]]:
        """Return the hostnames that were asked for, each time."""
        return [list(hostnames) for hostnames, _ in self.waits]

    def test_held_back(self) -> None:
        """URLs are told when their names are answered, each name being asked once; other events pass."""
        event = published("app.warp.example", "warp.example", plain=True)
        self.names.tell(event)
        self.names.tell(Dialing(agent_id="a-1"))
        self.assertEqual((self.told, self.asked()), ([Dialing(agent_id="a-1")], [["app.warp.example", "warp.example"]]))
        self.waits[0][1].callback([])
        self.assertEqual(self.told[1:], [event])

    def test_who_does_not_answer(self) -> None:
        """A URL whose name a server does not answer in time is told all the same, and then which server does not."""
        event = published("app.warp.example")
        self.names.tell(event)
        self.waits[0][1].callback([MISSING])
        self.assertEqual(self.told, [event, MISSING])

    def test_asked_once(self) -> None:
        """A name that was asked for is not waited for again; new ones are."""
        self.names.tell(published("app.warp.example"))
        self.waits[0][1].callback([MISSING])
        self.names.tell(published("app.warp.example"))
        self.assertEqual(len(self.told), 3)
        self.names.tell(published("app.warp.example", "new.warp.example"))
        self.assertEqual(self.asked()[1:], [["new.warp.example"]])

    def test_published_anew(self) -> None:
        """What is published while names are waited for takes the place of what was held back."""
        self.names.tell(published("old.warp.example"))
        event = published("new.warp.example")
        self.names.tell(event)
        self.waits[1][1].callback([])
        self.assertEqual(self.told, [event])

    def test_nobody_to_ask(self) -> None:
        """Local names, names of other zones, and those of an edge that names no servers are told at once."""
        events: list[Event] = [
            published("app.warp.localhost", zone="warp.localhost"),
            published("app.localhost", zone="localhost"),
            published("app.other.example", "xwarp.example"),
            published("app.warp.example", servers={}),
            Published(urls={"http://app.warp.example": "http://localhost"}),
        ]
        for event in events:
            self.names.tell(event)
        self.assertEqual((self.told, self.waits), (events, []))

    def test_many_names(self) -> None:
        """So many names are asked for; the others are told with them."""
        event = published(*(f"app{number}.warp.example" for number in range(100)))
        self.names.tell(event)
        self.assertEqual(len(self.asked()[0]), MAX_HOSTNAMES)
        self.waits[0][1].callback([])
        self.assertEqual(self.told, [event])

    def test_stop(self) -> None:
        """After a stop nothing that was held back is told."""
        self.names.tell(published("app.warp.example"))
        self.names.stop()
        self.names.stop()
        self.assertEqual((self.told, self.flushLoggedErrors()), ([], []))

    def test_failure(self) -> None:
        """A bug is logged and costs the URL, not the program."""
        self.names.tell(published("app.warp.example"))
        self.waits[0][1].errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

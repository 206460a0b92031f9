"""Through the deployed fleet: visits over HTTP and HTTPS, and questions to both name servers."""

from tests.fleet.case import FleetTestCase
from tests.fleet.deployment import ORIGINS, ZONE, deployment
from tests.fleet.place import run


class VisitTests(FleetTestCase):
    """What visitors meet."""

    def setUp(self) -> None:
        self.fleet = deployment()

    def test_http_and_https(self) -> None:
        """An application is reached over both, and HTTPS shows the certificate that the inventory has."""
        for scheme in ("http", "https"):
            answer = self.fleet.visit(f"{scheme}://app.{ZONE}/?n=7")
            self.assertIn(answer.strip(), [f"{origin} n=7" for origin in ORIGINS])

    def test_built_in_application(self) -> None:
        """The inventory's example serves a page at once."""
        self.assertIn("Hello from Warp", self.fleet.visit(f"https://hello.{ZONE}/"))

    def test_unknown_hostname(self) -> None:
        """Another hostname of the zone is a 404 of the edge's own."""
        answer = self.fleet.visit(f"http://other.{ZONE}/", "--include")
        self.assertTrue(answer.startswith("HTTP/1.1 404 "), answer)

    def test_body_goes_both_ways(self) -> None:
        """Ten megabytes are echoed whole."""
        curl = f"curl -sS -m 30 --data-binary @- -H 'Host: app.{ZONE}' http://$0/"
        command = f"head -c 10000000 /dev/zero | {curl} | wc -c"
        address = self.fleet.hosts.address("edge1")
        self.assertEqual(run(*self.fleet.hosts.beside("sh", "-c", command, address)).strip(), "10000000")

    def test_both_origins_serve(self) -> None:
        """Two agents of one hostname share its visitors."""
        found = {self.fleet.visit(f"http://app.{ZONE}/").split()[0] for _ in range(40)}
        self.assertEqual(found, set(ORIGINS))

    def test_status(self) -> None:
        """The edge knows both agents, with four tunnels each."""
        status = self.fleet.status()
        self.assertEqual(sorted(tunnel["slot"] for tunnel in status["tunnels"]), [0, 0, 1, 1, 2, 2, 3, 3])
        self.assertEqual(len({tunnel["agent"] for tunnel in status["tunnels"]}), 2)

    def test_status_playbook(self) -> None:
        """`status.yml` shows what runs where, and changes nothing."""
        run = self.fleet.play("playbooks/status.yml").check()
        for text in ("warp-edge", "warp-dns", "knot", "warp-agent@main", f"https://app.{ZONE} on 8 tunnels"):
            self.assertIn(text, run.output)
        self.assertEqual(run.changes, [])


class NameServerTests(FleetTestCase):
    """What resolvers are told, by the edge and by the secondary."""

    def setUp(self) -> None:
        self.fleet = deployment()
        hosts = self.fleet.hosts
        self.servers = [find(name) for name in ("edge1", "ns1") for find in (hosts.address, hosts.address6)]

    def test_same_answers_everywhere(self) -> None:
        """Both servers, over IPv4 and IPv6, UDP and TCP, give the edge's addresses for an application."""
        hosts = self.fleet.hosts
        for server in self.servers:
            for options in ((), ("+tcp",)):
                self.assertEqual(self.fleet.dig(server, f"app.{ZONE}", "A", *options), [hosts.address("edge1")])
                self.assertEqual(self.fleet.dig(server, f"app.{ZONE}", "AAAA", *options), ["fd78::11"])

    def test_zone_is_ours(self) -> None:
        """NS names both servers, and their addresses are in the zone."""
        for server in self.servers:
            self.assertEqual(self.fleet.dig(server, ZONE, "NS"), [f"ns-edge1.{ZONE}.", f"ns1.{ZONE}."])
            self.assertEqual(self.fleet.dig(server, f"ns1.{ZONE}", "A"), [self.fleet.hosts.address("ns1")])
            self.assertEqual(self.fleet.dig(server, f"ns-edge1.{ZONE}", "A"), [self.fleet.hosts.address("edge1")])

    def test_services_are_discovered(self) -> None:
        """SRV says where agents and visitors go."""
        for server in self.servers:
            for name, port in ((f"_warp-edge._tcp.{ZONE}", "7844"), (f"_http._tcp.app.{ZONE}", "80")):
                (answer,) = self.fleet.dig(server, name, "SRV")
                self.assertEqual(answer.split()[2:], [port, f"edge1.{ZONE}."])

    def test_secondary_follows(self) -> None:
        """The secondary has the same serial within a second of a change, signed transfers only."""
        serial = self.fleet.dig(self.servers[0], ZONE, "SOA")
        self.fleet.wait("one serial", lambda: self.fleet.dig(self.servers[2], ZONE, "SOA") == serial, 2)
        for server in self.servers:
            text = self.fleet.dig(server, ZONE, "AXFR")
            self.assertIn("Transfer failed.", "\n".join(text))

    def test_withdrawn_everywhere(self) -> None:
        """When the last agent of a hostname stops, the name leaves both servers, and comes back with it."""
        for origin in ORIGINS:
            self.fleet.hosts.execute(origin, "systemctl", "stop", "warp-agent@main")
        try:
            for server in self.servers:
                self.fleet.wait("name gone", lambda: self.fleet.dig(server, f"app.{ZONE}", "A") == [], 5)  # noqa: B023
        finally:
            for origin in ORIGINS:
                self.fleet.hosts.execute(origin, "systemctl", "start", "warp-agent@main")
        for server in self.servers:
            self.fleet.wait("name back", lambda: self.fleet.dig(server, f"app.{ZONE}", "A") != [], 5)  # noqa: B023
        answers = {tuple(sorted(self.fleet.dig(server, f"app.{ZONE}", "A"))) for server in self.servers}
        self.assertEqual(len(answers), 1, answers)

    def test_nobody_recurses(self) -> None:
        """A name outside the zone is refused."""
        for server in self.servers:
            text = run(*self.fleet.hosts.beside("dig", "+tries=1", f"@{server}", "example.com", "A"))
            self.assertIn("status: REFUSED", text)

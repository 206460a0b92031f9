"""
Service discovery as clients do it: from the zone's name alone to every application, its edges and its labels.

Names and TXT data are read by Avahi's own library, which any desktop has; the messages by dnspython, and by the
resolvers of Node and Go.
"""

import ctypes
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.name
import dns.query
import dns.rdatatype
from dns.rdtypes.ANY.PTR import PTR
from dns.rdtypes.ANY.TXT import TXT
from dns.rdtypes.IN.SRV import SRV
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutputAndValue

from tests.case import AsyncTestCase, reactor
from warp_dns import DnsServer, ServedZone, ZoneSettings
from warp_twisted.names import Hostname
from warp_twisted.registry.model import Change, Edge, Tunnel, Value
from warp_twisted.registry.published.publish import Publication

ZONE = "warp.example"
BROWSERS = Path(__file__).parent / "browsers"
MANY = 230
LONG = ".".join(["a" * 60] * 3) + f".{'b' * 57}"

_avahi = ctypes.CDLL("libavahi-common.so.3")
_avahi.avahi_service_name_split.argtypes = [ctypes.c_char_p] + [ctypes.c_char_p, ctypes.c_size_t] * 3
_avahi.avahi_string_list_parse.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.POINTER(ctypes.c_void_p)]
_avahi.avahi_string_list_to_string.argtypes = [ctypes.c_void_p]
_avahi.avahi_string_list_to_string.restype = ctypes.c_void_p
_avahi.avahi_string_list_free.argtypes = [ctypes.c_void_p]
_avahi.avahi_free.argtypes = [ctypes.c_void_p]


def split(name: dns.name.Name) -> tuple[str, str, str]:
    """Let Avahi take an instance's name apart: instance, type, domain."""
    parts = [ctypes.create_string_buffer(1024) for _ in range(3)]
    sizes = [argument for part in parts for argument in (part, ctypes.sizeof(part))]
    # Avahi reads labels from the message and escapes these two; dnspython escapes more, as master files need it.
    text = b".".join(label.replace(b"\\", b"\\\\").replace(b".", b"\\.") for label in name.labels if label)
    if _avahi.avahi_service_name_split(text, *sizes):
        raise ValueError(f"Avahi cannot read {name}")
    instance, kind, domain = (part.value.decode() for part in parts)
    return instance, kind, domain


def strings(data: bytes) -> str:
    """Let Avahi read the TXT data of an instance; returns what it prints of them."""
    parsed = ctypes.c_void_p()
    if _avahi.avahi_string_list_parse(data, len(data), ctypes.byref(parsed)):
        raise ValueError(f"Avahi cannot read {data!r}")
    text = _avahi.avahi_string_list_to_string(parsed)
    shown = ctypes.string_at(text).decode()
    _avahi.avahi_free(text)
    _avahi.avahi_string_list_free(parsed)
    return shown


class DiscoveryTests(AsyncTestCase):
    """A fleet of two edges with more applications than one list holds."""

    async def prepare(self) -> None:
        """Publish and serve it."""
        publication = Publication(ZONE)
        values: list[Value] = [
            Edge(
                name=name,
                addresses=(address,),
                http_port=80,
                https_port=443,
                https_names=(f"*.{ZONE}",),
            )
            for name, address in (("edge1", "192.0.2.1"), ("edge2", "192.0.2.2"))
        ]
        hostnames = [ZONE, f"api.blue.{ZONE}", f"{LONG}.{ZONE}", *(f"app{number}.{ZONE}" for number in range(MANY))]
        values += [
            Tunnel(
                id=f"{number}-{edge}",
                agent="a",
                slot=0,
                edge=edge,
                hostnames=(Hostname(hostname),),
                labels={"release": release, "private.owner": "somebody", "tier": "web"},
            )
            for number, hostname in enumerate(hostnames)
            for edge, release in (("edge1", "stable"), ("edge2", "canary"))
        ]
        publication.apply(Change(key=value.key, before=None, after=value) for value in values)
        zone = ZoneSettings(name=ZONE, nameservers={f"ns1.{ZONE}": ["127.0.0.1"]})
        server = DnsServer(reactor, [ServedZone(zone, publication)])
        self.addCleanup(server.stop)
        [(_, self.port)] = server.start(["127.0.0.1:0"])

    def asked(self, name: dns.name.Name, kind: str) -> Iterator[PTR | SRV | TXT]:
        """Ask for a set, over TCP where UDP has no room."""
        query = dns.message.make_query(name, kind)
        reply, _ = dns.query.udp_with_fallback(query, "127.0.0.1", timeout=5, port=self.port)
        for rrset in reply.answer:
            if rrset.rdtype == dns.rdatatype.from_text(kind):
                yield from rrset

    def browsed(self, kind: str) -> list[dns.name.Name]:
        """Return the instances of a type of service, in all domains that there are to browse (RFC 6763 §4, §11)."""
        zone = dns.name.from_text(ZONE)
        found: list[dns.name.Name] = []
        for domain in self.asked(dns.name.from_text("b._dns-sd._udp", zone), "PTR"):
            assert isinstance(domain, PTR)
            services = self.asked(dns.name.from_text("_services._dns-sd._udp", domain.target), "PTR")
            for service in services:
                assert isinstance(service, PTR)
                if service.target == dns.name.from_text(kind, domain.target):
                    found += [each.target for each in self.asked(service.target, "PTR") if isinstance(each, PTR)]
        return found

    async def test_browse(self) -> None:
        """A browser finds each application once, under a name that Avahi reads, also the longest and the zone's own."""
        instances = await deferToThread(self.browsed, "_http._tcp")
        names = [split(instance) for instance in instances]
        self.assertEqual({(kind, domain) for _, kind, domain in names}, {("_http._tcp", ZONE)})
        found = [name for name, _, _ in names]
        self.assertEqual(len(found), MANY + 3)
        self.assertLessEqual({"_apex", "api_blue", *(f"app{number}" for number in range(MANY))}, set(found))
        (long,) = [name for name in found if "__" in name]
        self.assertTrue(LONG.replace(".", "_").startswith(long.partition("__")[0]))

    async def test_browse_for_https(self) -> None:
        """Those for which edges have a certificate are found as HTTPS, and no others."""
        instances = await deferToThread(self.browsed, "_https._tcp")
        names = {split(instance)[0] for instance in instances}
        self.assertEqual(names, {f"app{number}" for number in range(MANY)})

    async def test_resolve(self) -> None:
        """Each instance leads to its edges, and has one TXT record that Avahi reads: a string for each label."""

        def resolved() -> list[tuple[list[SRV], list[TXT]]]:
            return [
                (
                    [each for each in self.asked(instance, "SRV") if isinstance(each, SRV)],
                    [each for each in self.asked(instance, "TXT") if isinstance(each, TXT)],
                )
                for instance in self.browsed("_http._tcp")
            ]

        for services, texts in await deferToThread(resolved):
            targets = {(service.target.to_text(), service.port) for service in services}
            self.assertEqual(targets, {(f"edge1.{ZONE}.", 80), (f"edge2.{ZONE}.", 80)})
            (text,) = texts
            shown = strings(text.to_wire() or b"")
            self.assertEqual(shown, '"release=canary,stable" "tier=web"')

    async def test_node(self) -> None:
        """Node's resolver browses from the zone's name to each application's edges and labels."""
        output = await self.output_of("node", str(BROWSERS / "browse.js"), f"127.0.0.1:{self.port}", ZONE, "_http._tcp")
        found = json.loads(output)
        self.assertEqual(len(found), MANY + 3)
        for each in found:
            self.assertEqual(each["edges"], [f"edge1.{ZONE}:80", f"edge2.{ZONE}:80"], each)
            self.assertEqual(each["texts"], ["release=canary,stable", "tier=web"], each)

    async def test_go(self) -> None:
        """Go's resolver finds edges and labels of instances, the longest one and the zone's own among them."""
        instances = [each.to_text() for each in await deferToThread(self.browsed, "_http._tcp")]
        chosen = [each for each in instances if not each.startswith("app")] + [f"app7._http._tcp.{ZONE}."]
        program = str(Path(self.mktemp()).absolute())
        await self.output_of("go", "build", "-o", program, str(BROWSERS / "main.go"))
        found = json.loads(await self.output_of(program, f"127.0.0.1:{self.port}", *chosen))
        self.assertEqual(len(found), 4)
        for each in found:
            self.assertEqual(each["edges"], [f"edge1.{ZONE}:80", f"edge2.{ZONE}:80"], each)
            self.assertEqual(each["texts"], ["release=canary,stabletier=web"], each)  # Go joins the strings

    async def output_of(self, *command: str) -> bytes:
        """Run a program; return what it prints if it succeeds."""
        output: bytes
        output, errors, status = await getProcessOutputAndValue(
            str(shutil.which(command[0])), command[1:], env={**os.environ, "GO111MODULE": "off"}
        )
        self.assertEqual(status, 0, errors.decode())
        return output

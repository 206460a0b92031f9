"""Tests for `warp_twisted.edge.policy.parts`."""

import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.client_authority import ClientAuthority
from tests.edge.policy.test_databases import SAMPLE
from tests.policy.authentication.keys import EC_KEY, member
from tests.policy.sources.test_crowdsec import DECISIONS
from warp_twisted.edge.certificates.asking import CannotAsk
from warp_twisted.edge.policy import parts as module
from warp_twisted.edge.policy.parts import PolicyParts
from warp_twisted.policy.document.authentication import Basic, ClientCertificate, Jwt, Proof, ServiceToken
from warp_twisted.policy.document.limits import Limit
from warp_twisted.policy.document.sources import DatabaseFiles, SourceEntry
from warp_twisted.policy.errors import InvalidPolicy
from warp_twisted.policy.sources import prefixes


class PartsTestCase(SynchronousTestCase):
    """A directory of files that a policy names."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.parts = PolicyParts(self.directory, {})

    def write(self, name: str, text: str) -> str:
        """Write a file and return its name."""
        (self.directory / name).write_text(text)
        return name


class SourceSetTests(PartsTestCase):
    """`PolicyParts.source_set`."""

    def test_inline_and_files(self) -> None:
        """Prefixes, files of prefixes and CrowdSec's decisions are one set."""
        self.write("list", "192.0.2.0/24\n# comment\n2001:db8::/32\n")
        self.write("crowdsec.json", json.dumps([{"decisions": DECISIONS}]))
        entries: list[str | SourceEntry]
        entries = ["10.0.0.0/8", SourceEntry(file="list"), SourceEntry(file="crowdsec.json", format="crowdsec")]
        found = self.parts.source_set(entries, "rules[0].sources.deny")
        for address in ("10.1.1.1", "192.0.2.7", "2001:db8::1", "203.0.113.9", "198.51.100.77"):
            self.assertIn(address, found)
        for address in ("203.0.113.10", "11.0.0.0"):
            self.assertNotIn(address, found)
        self.assertEqual(set(self.parts.stamps), {"list", "crowdsec.json"})

    def test_refused(self) -> None:
        """What cannot be read is named by key and file; a file that is missing is watched all the same."""
        self.write("bad", "10.0.0.0/8\nnonsense\n")
        (self.directory / "latin").write_bytes(b"\xff")
        for entry, reason in (
            (SourceEntry(file="missing"), r"w\[0\].file: .*missing: No such file"),
            (SourceEntry(file="bad"), r"w\[0\].file: .*bad: line 2: expected a prefix"),
            (SourceEntry(file="latin"), r"w\[0\].file: .*latin: not UTF-8"),
            (SourceEntry(file="bad", format="crowdsec"), r"w\[0\].file: .*bad: expected CrowdSec's decisions"),
            (SourceEntry(country=["DE"]), r"w\[0\].country: needs a database, and databases.country of the policy"),
        ):
            with self.assertRaisesRegex(InvalidPolicy, reason):
                self.parts.source_set([entry], "w")
        self.assertIsNone(self.parts.stamps["missing"])
        self.patch(prefixes, "MAX_PREFIXES", 1)
        with self.assertRaisesRegex(InvalidPolicy, "^w: line 2: more than 1 prefixes"):
            self.parts.source_set(["10.0.0.0/8", "11.0.0.0/8"], "w")
        self.patch(module, "MAX_FILE", 10)
        self.write("large", "x" * 11)
        with self.assertRaisesRegex(InvalidPolicy, "larger than"):
            self.parts.source_set([SourceEntry(file="large")], "w")


class PlacesTests(PartsTestCase):
    """`PolicyParts.source_set` and `prefix_set`, asked for countries and autonomous systems."""

    def setUp(self) -> None:
        super().setUp()
        self.parts.database_files = DatabaseFiles(country="country.mmdb", asn="missing.mmdb")

    def test_places_among_prefixes(self) -> None:
        """A list may hold prefixes and places; the database is watched as files are."""
        (self.directory / "country.mmdb").write_bytes(SAMPLE)
        found = self.parts.source_set(["10.0.0.0/8", SourceEntry(country=["FR"])], "w")
        answers = [address in found for address in ("10.0.0.1", "198.51.100.1", "192.0.2.1", "203.0.113.9")]
        self.assertEqual(answers, [True, True, False, False])
        self.assertEqual(set(self.parts.stamps), {"country.mmdb"})
        self.assertIn("192.0.2.1", self.parts.source_set([SourceEntry(country=["DE"])], "w"))

    def test_refused(self) -> None:
        """A database that is missing or none is named by its key, and watched all the same."""
        (self.directory / "country.mmdb").write_text("banana")
        with self.assertRaisesRegex(InvalidPolicy, "^databases.country: .*country.mmdb: expected a database"):
            self.parts.source_set([SourceEntry(country=["DE"])], "w")
        with self.assertRaisesRegex(InvalidPolicy, "^databases.asn: .*missing.mmdb: No such file .*policy_files"):
            self.parts.source_set([SourceEntry(asn=[64496])], "w")
        self.assertIsNone(self.parts.stamps["missing.mmdb"])
        self.assertIsNotNone(self.parts.stamps["country.mmdb"])

    def test_prefixes_alone(self) -> None:
        """Where asking must never fail, places are refused."""
        with self.assertRaisesRegex(InvalidPolicy, r"w\[1\]: expected a prefix or a file of them"):
            self.parts.prefix_set(["10.0.0.0/8", SourceEntry(country=["DE"])], "w")


class LimiterTests(PartsTestCase):
    """`PolicyParts.limiter`."""

    def test_goes_on_counting(self) -> None:
        """The limit of the same rule and name keeps its counts, unless it counts something else now."""
        rate, other = Limit(name="a", rate="1/s"), Limit(name="a", of="concurrent_requests", most=1)
        before = self.parts.limiter(rate, "r", "w")
        after = PolicyParts(self.directory, self.parts.limiters)
        self.assertIs(after.limiter(rate, "r", "w"), before)
        self.assertIsNot(after.limiter(rate, "s", "w"), before)
        self.assertIsNot(after.limiter(other, "r", "w"), before)


class CheckTests(PartsTestCase):
    """`PolicyParts.check`."""

    def test_kinds(self) -> None:
        """Each kind is made from its file."""
        users = self.write("users", "")
        keys = self.write("keys", json.dumps({"keys": [member(EC_KEY, "e")]}))
        self.assertEqual(self.parts.check(Proof(basic=Basic(users_file=users)), "w").kind, "basic")
        self.assertEqual(list(self.parts.passwords), ["w.basic"])
        jwt = Jwt(jwks_file=keys, issuer="i", audience="a")
        self.assertEqual(self.parts.check(Proof(jwt=jwt), "w").kind, "jwt")
        self.assertEqual(self.parts.check(Proof(service_token=ServiceToken()), "w").kind, "service_token")
        there = Jwt(jwks_url="https://login.example/keys", issuer="i", audience="a")
        self.assertEqual([(there.jwks_url, self.parts.check(Proof(jwt=there), "w"))], self.parts.fetched)
        self.assertEqual(self.parts.kinds, {"basic", "jwt", "service_token"})
        self.assertEqual({*module._CHECKS, "any_of", "all_of"}, {*Proof.__struct_fields__})

    def test_refused(self) -> None:
        """A file that cannot be used is named by key and file."""
        self.write("users", "ann:plain")
        self.write("keys", "{}")
        with self.assertRaisesRegex(InvalidPolicy, r"w.basic.users_file: .*users: line 1: expected an argon2id hash"):
            self.parts.check(Proof(basic=Basic(users_file="users")), "w")
        for number in range(module.MAX_FETCHED + 1):
            odd = Jwt(jwks_url="https://login.example/a b", issuer="i", audience="a")
            with self.assertRaisesRegex(InvalidPolicy, "w.jwt.jwks_url: expected printable ASCII"):
                self.parts.check(Proof(jwt=odd), "w")
            there = Jwt(jwks_url=f"https://login.example/{number}", issuer="i", audience="a")
            if number < module.MAX_FETCHED:
                self.parts.check(Proof(jwt=there), "w")
        with self.assertRaisesRegex(InvalidPolicy, "w.jwt.jwks_url: more than 32 different URLs"):
            self.parts.check(Proof(jwt=there), "w")
        with self.assertRaisesRegex(InvalidPolicy, r"w.jwt.jwks_file: .*keys: expected a JWK set"):
            self.parts.check(Proof(jwt=Jwt(jwks_file="keys", issuer="i", audience="a")), "w")

    def test_client_certificates(self) -> None:
        """Authorities are read from their file; those of the whole policy are known, each once."""
        one, two = ClientAuthority(self.directory), ClientAuthority(self.directory)
        both = self.write("both.pem", one.pem + two.pem)
        proof = Proof(client_certificate=ClientCertificate(ca_file=both, fingerprints=["AB:" * 31 + "CD"], san="*.a"))
        check = self.parts.check(proof, "w")
        self.assertEqual((check.kind, check.authorities), ("client_certificate", (one.der, two.der)))
        self.parts.check(Proof(client_certificate=ClientCertificate(ca_file=self.write("one.pem", one.pem))), "w")
        self.assertEqual(self.parts.authorities, {one.der, two.der})

    def test_refused_authorities(self) -> None:
        """A file without any, too many in all, and a Python that cannot ask are refused by name."""
        proof = Proof(client_certificate=ClientCertificate(ca_file=self.write("ca.pem", "nonsense")))
        with self.assertRaisesRegex(InvalidPolicy, r"w.client_certificate.ca_file: .*ca.pem: expected certificates"):
            self.parts.check(proof, "w")
        self.patch(module, "MAX_AUTHORITIES", 1)
        good = self.write("good.pem", ClientAuthority(self.directory).pem)
        self.parts.check(Proof(client_certificate=ClientCertificate(ca_file=good)), "w")
        other = self.write("other.pem", ClientAuthority(self.directory).pem)
        with self.assertRaisesRegex(InvalidPolicy, "w.client_certificate.ca_file: more than 1 different authorities"):
            self.parts.check(Proof(client_certificate=ClientCertificate(ca_file=other)), "w")

        def prove() -> None:
            raise CannotAsk("OpenSSL cannot")

        self.patch(module, "prove", prove)
        with self.assertRaisesRegex(InvalidPolicy, "w.client_certificate: OpenSSL cannot"):
            self.parts.check(proof, "w")

"""Tests of the proof with which an agent returns: what it must hold, and what is refused."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import thread_time

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.ca.errors import BadCertificate
from warp_twisted.ca.issue import Issuer, issue_agent, issue_edge, issue_intermediate, issue_root, new_key, to_pem
from warp_twisted.ca.returning import (
    MAX_CERTIFICATES,
    MAX_CHAIN_CHARACTERS,
    ProvenAgent,
    key_fingerprint,
    prove_return,
    sign_return,
)
from warp_twisted.names import HostnamePattern

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PATTERNS = [HostnamePattern.parse("*.team.warp.example"), HostnamePattern.parse("app.warp.example")]
NONCE = "5a" * 32


@dataclass(frozen=True)
class Ended:
    """An agent's key and chain that have ended, and the root of its fleet."""

    root: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    chain_pem: str


def make_ended(*, issued_at: datetime = NOW - timedelta(days=9), issuer_lifetime: int = 365) -> Ended:
    """Issue an agent's certificate for a day, under an edge's intermediate that is limited to a zone."""
    root_key, edge_key, key = new_key(), new_key(), new_key()
    root = issue_root(root_key, "warp.example", issued_at)
    intermediate = issue_intermediate(
        Issuer(root, root_key), edge_key.public_key(), "edge1", issued_at, ["warp.example"],
        timedelta(days=issuer_lifetime),
    )  # fmt: skip
    issuer = Issuer(intermediate, edge_key, (intermediate,))
    return Ended(root, key, to_pem(issue_agent(issuer, key.public_key(), "a-1", PATTERNS, issued_at), *issuer.chain))


class ProofTests(SynchronousTestCase):
    """Both ends of the proof."""

    def setUp(self) -> None:
        """Make an agent that has been away for eight days."""
        self.ended = make_ended()

    def prove(self, **changes: str) -> ProvenAgent:
        """Check a proof, good but for what is changed."""
        chain = changes.get("chain_pem", self.ended.chain_pem)
        signature = changes.get("signature") or sign_return(self.ended.key, NONCE, self.ended.chain_pem)
        return prove_return(chain, signature, changes.get("nonce", NONCE), [self.ended.root], NOW.timestamp())

    def test_good(self) -> None:
        """The agent is who its certificate says, and its key is told."""
        proven = self.prove()
        self.assertEqual((proven.identity.id, proven.identity.patterns), ("a-1", tuple(PATTERNS)))
        self.assertEqual(proven.identity.expires_at, (NOW - timedelta(days=8)).timestamp())
        self.assertEqual(proven.key_sha256, key_fingerprint(self.ended.key.public_key()))
        self.assertRegex(proven.key_sha256, "^[0-9a-f]{64}$")

    def test_issuer_that_ended_meanwhile(self) -> None:
        """The chain counts as of the leaf's end: an intermediate that ended a day later does no harm."""
        self.ended = make_ended(issuer_lifetime=2)
        self.assertEqual(self.prove().identity.id, "a-1")

    def test_not_ended_yet(self) -> None:
        """A certificate that is still good is checked as of now, one of tomorrow (by a clock ahead) as of then."""
        self.ended = make_ended(issued_at=NOW - timedelta(hours=1))
        self.assertEqual(self.prove().identity.id, "a-1")
        self.ended = make_ended(issued_at=NOW + timedelta(days=1))
        self.assertEqual(self.prove().identity.id, "a-1")

    def reason(self, **changes: str) -> str:
        """Return why a proof is refused."""
        try:
            self.prove(**changes)
        except BadCertificate as error:
            return str(error)
        raise self.failureException("it was good")

    def test_other_nonce(self) -> None:
        """A proof that was seen once is worth nothing on another connection."""
        self.assertIn("not signed", self.reason(nonce="5b" * 32))

    def test_other_key(self) -> None:
        """Who has the certificate and not its key cannot return."""
        self.assertIn("not signed", self.reason(signature=sign_return(new_key(), NONCE, self.ended.chain_pem)))
        for nonsense in ("", "zz", "00" * 9000, "é"):
            self.assertIn("not signed", self.reason(signature=nonsense or "0"), nonsense[:9])

    def test_other_fleet(self) -> None:
        """A chain under another root, or without its issuer, is refused though its own signature is good."""
        other = make_ended()
        signature = sign_return(other.key, NONCE, other.chain_pem)
        self.assertIn("not issued by this fleet", self.reason(chain_pem=other.chain_pem, signature=signature))
        leaf = to_pem(x509.load_pem_x509_certificates(self.ended.chain_pem.encode())[0])
        self.assertIn("not issued by this fleet", self.reason(chain_pem=leaf))

    def test_not_an_agent(self) -> None:
        """The certificate of an edge proves no agent."""
        root_key, key = new_key(), new_key()
        root = issue_root(root_key, "warp.example", NOW)
        edge = issue_edge(Issuer(root, root_key), key.public_key(), ["edge1.warp.example"], [], NOW)
        self.ended = Ended(root, key, to_pem(edge))
        self.assertIn("not issued by this fleet", self.reason())

    def test_outside_what_its_issuer_may_issue(self) -> None:
        """An intermediate that is limited to a zone vouches for no name outside it."""
        root_key, edge_key, key = new_key(), new_key(), new_key()
        root = issue_root(root_key, "warp.example", NOW)
        limited = issue_intermediate(Issuer(root, root_key), edge_key.public_key(), "edge1", NOW, ["warp.example"])
        unlimited = issue_intermediate(Issuer(root, root_key), edge_key.public_key(), "edge1", NOW)
        leaf = issue_agent(
            Issuer(unlimited, edge_key), key.public_key(), "a-1", [HostnamePattern.parse("x.example.org")], NOW
        )
        self.ended = Ended(root, key, to_pem(leaf, limited))
        self.assertIn("not issued by this fleet", self.reason())

    def test_keys_that_take_long(self) -> None:
        """A chain with another kind of key is refused before any of its signatures is looked at."""
        slow = rsa.generate_private_key(65537, 2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "slow")])
        issuer = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(slow.public_key())
            .serial_number(1).not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1))
            .sign(slow, hashes.SHA256())
        )  # fmt: skip
        leaf = to_pem(x509.load_pem_x509_certificates(self.ended.chain_pem.encode())[0])
        self.assertIn("P-256", self.reason(chain_pem=leaf + to_pem(issuer)))

    def test_names_that_take_long(self) -> None:
        """A made-up chain of many names, under as many constraints, is refused in the time of one with few."""
        few, many = (self.seconds_for(names) for names in (2, 1000))
        self.assertLess(many, 30 * few)  # 300 times as long if they are compared

    def seconds_for(self, names: int) -> float:
        """Return the least CPU time that a made-up chain takes: the root's name is real, and its key is not."""
        forger, edge_key, key = Issuer(self.ended.root, new_key()), new_key(), new_key()
        allowed = [f"{number:x}.ab" for number in range(names)] + ["warp.example"]
        limited = issue_intermediate(forger, edge_key.public_key(), "edge1", NOW - timedelta(days=9), allowed)
        chosen: list[x509.GeneralName] = [x509.UniformResourceIdentifier("warp://agent/a-1")]
        chosen += [x509.DNSName(f"{number:x}.warp.example") for number in range(names)]
        leaf = (
            x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(limited.subject)
            .public_key(key.public_key()).serial_number(1)
            .not_valid_before(NOW - timedelta(days=9)).not_valid_after(NOW - timedelta(days=8))
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(edge_key.public_key()), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName(chosen), critical=True)
            .sign(edge_key, hashes.SHA256())
        )  # fmt: skip
        chain = to_pem(leaf, limited)
        signature = sign_return(key, NONCE, chain)
        took = []
        for _ in range(5):
            began = thread_time()
            self.assertIn("not issued by this fleet", self.reason(chain_pem=chain, signature=signature))
            took.append(thread_time() - began)
        return min(took)

    def test_bounds(self) -> None:
        """A chain that is too long, or of too many certificates, is not parsed."""
        self.assertIn("characters", self.reason(chain_pem="x" * (MAX_CHAIN_CHARACTERS + 1)))
        self.assertIn("certificates", self.reason(chain_pem="-----BEGIN" * (MAX_CERTIFICATES + 1)))
        self.assertIn("cannot be read", self.reason(chain_pem=""))

    @settings(deadline=None, max_examples=300)
    @given(st.data())
    def test_hostile(self, data: st.DataObject) -> None:
        """Whatever is damaged or made up is refused, and raises nothing else."""
        lines = self.ended.chain_pem.splitlines(keepends=True)
        at = data.draw(st.integers(0, len(lines) - 1))
        lines[at] = data.draw(st.text(max_size=80) | st.sampled_from(lines) | st.just(lines[at].swapcase()))
        chain = "".join(lines)
        signature = data.draw(st.text(max_size=200) | st.binary(max_size=80).map(bytes.hex))
        nonce = data.draw(st.text(max_size=70))
        roots, now = [self.ended.root], NOW.timestamp()
        self.assertRaises(BadCertificate, prove_return, chain, signature, nonce, roots, now)

    @settings(deadline=None, max_examples=200)
    @given(st.integers(0), st.integers(0, 255))
    def test_one_byte_of_the_certificate(self, at: int, value: int) -> None:
        """No byte of the chain can be another, even if the same key signs for what came of it."""
        chain = x509.load_pem_x509_certificates(self.ended.chain_pem.encode())
        der = bytearray(chain[0].public_bytes(Encoding.DER))
        at %= len(der)
        if der[at] == value:
            return
        der[at] = value
        damaged = ssl.DER_cert_to_PEM_cert(bytes(der)) + to_pem(chain[1])
        try:
            signature = sign_return(self.ended.key, NONCE, damaged)
            prove_return(damaged, signature, NONCE, [self.ended.root], NOW.timestamp())
        except BadCertificate:
            return
        raise self.failureException("a changed certificate was taken")

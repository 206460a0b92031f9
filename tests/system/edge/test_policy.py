"""Tests of the policy at the edge, on real sockets: what is denied does not reach the origin."""

import json
from pathlib import Path
from threading import Event

import jwt
from argon2 import PasswordHasher
from msgspec.structs import replace
from twisted.internet.defer import execute

from tests.case import AsyncTestCase, reactor, until
from tests.system.edge.harness import EdgeHarness, RawConnection, RawOrigin, answer_each, status_of
from warp_base.machine_time import MACHINE_WALL_CLOCK
from warp_twisted.edge.policy.assertion_keys import AssertionKeys, PublishedKeys
from warp_twisted.edge.policy.delivery.following import PolicyFollower
from warp_twisted.edge.policy.in_force import PolicyInForce
from warp_twisted.edge.policy.passwords import Passwords
from warp_twisted.edge.policy.service_tokens import ServiceTokens
from warp_twisted.edge.routes.limits import VisitorTimeouts
from warp_twisted.errors import InvalidSettings
from warp_twisted.policy.authentication.basic import BasicCheck
from warp_twisted.policy.document.policy import parse_policy
from warp_twisted.policy.interfaces import Answer, Question
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.mirror import Mirror
from warp_twisted.routing.table import RoutingTable
from warp_twisted.wire.control import RouteOffer

# "Allow 50 requests a second, only to these routes, only from these addresses, and only if they are authenticated."
SENTENCE = """
defaults:
  limits: [{name: per-visitor, rate: 50/s, burst: 50}]
  sources: {allow: [127.0.0.0/24]}
  authenticate: {any_of: [{basic: {users_file: users}}]}
rules:
  - name: only-the-api
    match: {hostname: app.example}
    routes: ["GET /v1/*", "POST /v1/orders"]
    request: {set: {X-Team: blue}, remove: [X-Debug]}
    response: {set: {X-Frame-Options: DENY}, remove: [Server]}
"""
ANN = b"Authorization: Basic YW5uOmdlaGVpbQ=="  # ann:geheim
WRONG = b"Authorization: Basic YW5uOmZhbHNjaA=="

FAST = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


def request(line: bytes, *fields: bytes, host: bytes = b"app.example", body: bytes = b"") -> bytes:
    """Return a request."""
    length = [b"Content-Length: %d" % len(body)] if body else []
    return b"\r\n".join([line + b" HTTP/1.1", b"Host: " + host, *fields, *length, b"", body])


class PolicyTestCase(AsyncTestCase):
    """An edge with a policy file, and a tunnel to an origin that answers everything."""

    timeout = 30
    text = SENTENCE

    async def prepare(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.file = self.directory / "policy.yaml"
        self.file.write_text(self.text)
        self.write_users(geheim="ann")
        self.edge = EdgeHarness(reactor, timeouts=VisitorTimeouts(tick=0.05))
        self.edge.origin.answer = answer_each(b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 2\r\n\r\nok")
        passwords = self.passwords = Passwords(reactor, reactor.seconds)
        self.policy = self.edge.visitors.policy = PolicyInForce(passwords)
        self.follower = PolicyFollower(self.policy, reactor, execute)
        self.follower.begin(str(self.file), str(self.directory))
        await self.edge.start()
        self.clean_up_with(self.edge.stop)
        passwords.start()
        self.addCleanup(passwords.stop)

    def write_users(self, hasher: PasswordHasher = FAST, **users: str) -> None:
        """Write a file of users, by their passwords."""
        lines = [f"{name}:{hasher.hash(password)}\n" for password, name in users.items()]
        (self.directory / "users").write_text("".join(lines))

    async def ask(self, data: bytes, client: RawConnection | None = None) -> bytes:
        """Send a request, on a connection of its own unless one is given; return the answer."""
        connection = client or await self.edge.visitor()
        before = connection.received.count(b"HTTP/1.1 ")
        connection.send(data)
        await connection.when(lambda: connection.received.count(b"HTTP/1.1 ") > before)
        return connection.received[connection.received.rindex(b"HTTP/1.1 ") :]

    def has_logged(self) -> bool:
        """Whether a request has ended."""
        self.edge.log.flush()
        return bool(self.edge.lines)

    def entry(self) -> dict[str, object]:
        """Return the newest line of the access log."""
        self.edge.log.flush()
        line: dict[str, object] = json.loads(b"".join(self.edge.lines).splitlines()[-1])
        return line


class SentenceTests(PolicyTestCase):
    """The whole sentence in one file."""

    async def test_allowed(self) -> None:
        """What it allows reaches the origin, with the fields that the rule changes."""
        fields = (b"X-Debug: 1", b"X-Team: red", b"Warp-Identity: root")
        answer = await self.ask(request(b"GET /v1/items?x=1", ANN, *fields))
        self.assertEqual(status_of(answer), 200)
        seen = self.edge.origin.seen
        self.assertIn(b"GET /v1/items?x=1 HTTP/1.1\r\n", seen)
        self.assertIn(b"X-Team: blue\r\n", seen)
        for left_out in (b"X-Debug", b"red", b"root"):
            self.assertNotIn(left_out, seen)
        self.assertIn(b"X-Frame-Options: DENY\r\n", answer)
        self.assertNotIn(b"Server:", answer)
        self.assertEqual((self.entry()["user"], self.entry().get("rule")), ("ann", None))

    async def test_trailers(self) -> None:
        """What a rule takes out of requests is no trailer, either: servers there are that take trailers for fields."""
        head = request(b"POST /v1/orders", ANN, b"Transfer-Encoding: chunked")
        trailers = b"X-Debug: evil\r\nx_team: evil\r\nX-Sum: 9\r\n"
        self.assertEqual(status_of(await self.ask(head + b"1\r\nx\r\n0\r\n" + trailers + b"\r\n")), 200)
        await self.edge.origin.until(b"X-Sum: 9\r\n\r\n")
        self.assertNotIn(b"evil", self.edge.origin.seen)

    async def test_each_denial(self) -> None:
        """Another route, a path of two readings, no credentials, wrong ones: the origin hears of none."""
        for data, status, rule, reason in (
            (request(b"GET /admin", ANN), 403, "only-the-api", "policy-route"),
            (request(b"DELETE /v1/orders", ANN), 403, "only-the-api", "policy-route"),
            (request(b"GET /v1/../admin", ANN), 400, "only-the-api", "policy-odd-path"),
            (request(b"GET /v1/%2e%2e/admin", ANN), 400, "only-the-api", "policy-odd-path"),
            (request(b"GET /v1//x", ANN), 400, "only-the-api", "policy-odd-path"),
            (request(b"GET /v1/items"), 401, "defaults", "policy-unauthenticated"),
            (request(b"GET /v1/items", WRONG), 401, "defaults", "policy-credential"),
        ):
            answer = await self.ask(data)
            entry = self.entry()
            self.assertEqual((status_of(answer), entry["rule"], entry["reason"]), (status, rule, reason), data)
        self.assertIn(b'WWW-Authenticate: Basic realm="Warp", charset="UTF-8"\r\n', answer)
        self.assertEqual(self.edge.origin.seen, b"")

    async def test_another_address(self) -> None:
        """An address that is not in the list is refused before it is asked for a password."""
        self.file.write_text(SENTENCE.replace("127.0.0.0/24", "203.0.113.0/24"))
        await self.follower.reload(str(self.file), str(self.directory))
        answer = await self.ask(request(b"GET /v1/items", ANN))
        self.assertEqual((status_of(answer), self.entry()["reason"]), (403, "policy-source"))
        self.assertEqual(self.edge.origin.seen, b"")

    async def test_the_rate(self) -> None:
        """Of 80 at once fifty pass; the others are told how long to wait, and the origin has seen fifty."""
        client = await self.edge.visitor()
        answers = [await self.ask(request(b"GET /v1/items", ANN), client) for _ in range(80)]
        refused = [answer for answer in answers if status_of(answer) == 429]
        passed = len(answers) - len(refused)
        self.assertEqual(self.edge.origin.seen.count(b"GET /v1/items"), passed)
        self.assertGreaterEqual(passed, 50)
        self.assertTrue(refused)
        self.assertIn(b"Retry-After: 1\r\n", refused[0])
        self.assertIn(b'RateLimit-Policy: "per-visitor";q=50;w=1\r\nRateLimit: "per-visitor";r=0;t=1\r\n', refused[0])

    async def test_a_body_waits_for_the_password(self) -> None:
        """A body that comes while a password is hashed is kept, in bounds, and reaches the origin whole."""
        self.edge.origin.answer = None  # an answer would end the request before its body is read
        body = bytes(range(256)) * 2_000
        client = await self.edge.visitor()
        client.send(request(b"POST /v1/orders", ANN, body=body))
        await self.edge.origin.until(body)
        self.assertEqual(self.edge.metrics.unread_bytes, 0)

    async def test_a_visitor_that_leaves(self) -> None:
        """Nothing is sent for a visitor that left while its password was hashed."""
        self.write_users(PasswordHasher(), geheim="ann")
        await self.follower.look()
        client = await self.edge.visitor()
        client.send(request(b"GET /v1/items", ANN))
        await until(lambda: self.passwords.checked == 1)
        client.abort()
        await client.lost()
        await until(self.has_logged)
        self.assertEqual((self.entry()["status"], self.edge.origin.seen), (499, b""))

    async def test_a_hash_that_fails_late(self) -> None:
        """An error that comes to light when its request has timed out harms no later one of the connection."""
        may_end = Event()
        self.addCleanup(may_end.set)

        def broken(check: BasicCheck, question: Question) -> Answer:
            may_end.wait(10)
            raise RuntimeError("broken")

        self.patch(BasicCheck, "is_right", broken)
        self.edge.visitors.timeouts = replace(self.edge.visitors.timeouts, origin_response=0.2)
        client = await self.edge.visitor()
        self.assertEqual(status_of(await self.ask(request(b"GET /v1/items", ANN), client)), 503)
        may_end.set()
        await until(lambda: bool(self.flushLoggedErrors()))
        self.assertEqual(status_of(await self.ask(request(b"GET /admin", ANN), client)), 403)

    async def test_other_hostnames(self) -> None:
        """The defaults are about every hostname, the rule about its own."""
        await self.edge.add_tunnel([RouteOffer(id=0, hostname="other.example")])
        self.assertEqual(status_of(await self.ask(request(b"GET /any", ANN, host=b"other.example"))), 200)
        self.assertEqual(status_of(await self.ask(request(b"GET /any", host=b"other.example"))), 401)
        self.assertEqual(status_of(await self.ask(request(b"GET /any", host=b"unknown.example"))), 404)


class RoutingTests(PolicyTestCase):
    """What a policy's rules and its routing have to do with each other."""

    text = (
        SENTENCE.replace("users}}]", "users}}], withhold_credential: true")
        + """
routing:
  - hostname: app.example
    split: [{selector: "!release", weight: 1}, {selector: release=canary, weight: 0}]
    testers: {header: X-Release, identities: ["basic:ann"]}
    mirror: {selector: release=next, percent: 100}
"""
    )

    async def prepare(self) -> None:
        await super().prepare()
        self.origins = {release: RawOrigin() for release in ("canary", "next")}
        for release, origin in self.origins.items():
            origin.answer = answer_each()
            port = await self.edge.listen(origin)
            await self.edge.add_tunnel([RouteOffer(id=0, hostname="app.example")], release, {"release": release}, port)
        routing = RoutingTable(parse_policy(self.text, "p").routing)
        list(self.edge.table.splitting.follow(routing, self.edge.table.routes))

    def write_users(self, hasher: PasswordHasher = FAST, **users: str) -> None:
        """Write a file in which there is one more."""
        super().write_users(hasher, **users, falsch="bob")

    async def test_testers(self) -> None:
        """Who has proven to be a tester chooses; whoever else may come in does not."""
        bob = b"Authorization: Basic Ym9iOmZhbHNjaA=="
        for who, served in ((ANN, "canary"), (bob, "agent-1")):
            answer = await self.ask(request(b"GET /v1/items", who, b"X-Release: release=canary"))
            self.assertEqual(status_of(answer), 200)
            await self.edge.until(self.has_logged)
            self.assertEqual((self.entry()["agent"], self.entry().get("tester")), (
                served, "release=canary" if served == "canary" else None,
            ))  # fmt: skip
            self.edge.lines.clear()
        self.assertNotIn(b"X-Release", self.edge.origin.seen + self.origins["canary"].seen)

    async def test_copies(self) -> None:
        """A copy is what the rules have made of the request, without the credential; what they refuse is not copied."""
        shadow = self.origins["next"]
        self.assertEqual(status_of(await self.ask(request(b"GET /v1/items"))), 401)
        self.assertEqual(status_of(await self.ask(request(b"GET /v1/items", ANN, b"X-Debug: 1"))), 200)
        await shadow.until(b"\r\n\r\n")
        self.assertEqual(shadow.seen.count(b"GET /v1/items HTTP/1.1\r\n"), 1)
        self.assertIn(b"\r\nX-Team: blue\r\n", shadow.seen)
        self.assertIn(b"\r\nWarp-Mirror: 1\r\n", shadow.seen)
        for withheld in (b"Authorization", b"X-Debug"):
            self.assertNotIn(withheld, shadow.seen)


class AssertionTests(PolicyTestCase):
    """What the origin is told of who the visitor is."""

    text = SENTENCE.replace("users}}]", "users}}], withhold_credential: true")

    async def prepare(self) -> None:
        await super().prepare()
        state = self.directory / "state"
        state.mkdir()
        keys = AssertionKeys(state, "warp.example", reactor, MACHINE_WALL_CLOCK)
        self.policy.assertions = keys.assertions
        mirror = Mirror(MemoryStore(reactor), reactor)
        self.policy.key_set = PublishedKeys(mirror, keys).content

    async def test_proven_by_the_published_keys(self) -> None:
        """A library verifies it with the key set, which the edge gives out without credentials."""
        forged = (b"Warp-Assertion: x", b"Warp_Identity: root", b"Cookie: a=b")
        self.assertEqual(status_of(await self.ask(request(b"GET /v1/items", ANN, *forged))), 200)
        seen = self.edge.origin.seen
        token = seen.partition(b"Warp-Assertion: ")[2].partition(b"\r\n")[0].decode()
        answer = await self.ask(request(b"GET /.well-known/warp/keys"))
        self.assertIn(b"Content-Type: application/json\r\n", answer)
        keys = jwt.PyJWKSet.from_json(answer.partition(b"\r\n\r\n")[2].decode())
        key = keys[jwt.get_unverified_header(token)["kid"]]
        claims = jwt.decode(token, key, ["ES256"], audience="app.example", issuer="warp.example")
        self.assertEqual((claims["sub"], claims["kind"]), ("ann", "basic"))
        self.assertIn(b"Warp-Identity: ann\r\nWarp-Identity-Kind: basic\r\n", seen)
        stated = seen.count(b"Warp-Assertion") + seen.count(b"Warp-Identity")
        self.assertEqual((stated, seen.count(b"Authorization"), seen.count(b"root")), (3, 0, 0))

    async def test_the_keys_are_read_only(self) -> None:
        """HEAD says their size; what else is asked there, or beside it, is the policy's to judge."""
        client = await self.edge.visitor()
        answer = await self.ask(request(b"HEAD /.well-known/warp/keys"), client)
        self.assertEqual((status_of(answer), answer.partition(b"\r\n\r\n")[2]), (200, b""))
        for line in (b"POST /.well-known/warp/keys", b"GET /.well-known/warp/keys?x=1", b"GET /.well-known/warp/"):
            self.assertGreaterEqual(status_of(await self.ask(request(line), client)), 400)
        self.assertEqual(self.edge.origin.seen, b"")

    async def test_without_rules(self) -> None:
        """A hostname without rules has no such place: the path is its origin's."""
        self.file.write_text("rules: []")
        await self.follower.look()
        self.assertEqual(status_of(await self.ask(request(b"GET /.well-known/warp/keys"))), 200)
        self.assertIn(b"GET /.well-known/warp/keys", self.edge.origin.seen)


class ServiceTokenTests(PolicyTestCase):
    """Programs that prove themselves with a service token of the registry."""

    text = """
rules:
  - name: programs
    authenticate: {any_of: [{service_token: {names: [ci]}}, {basic: {users_file: users}}]}
"""

    async def prepare(self) -> None:
        await super().prepare()
        store = MemoryStore(reactor)
        mirror = Mirror(store, reactor)
        await mirror.start()
        self.addCleanup(mirror.stop)
        self.tokens = ServiceTokens(store, mirror, MACHINE_WALL_CLOCK)
        self.policy.find_token = self.tokens.find

    async def create(self, name: str, prefix: bytes = b"Warp") -> tuple[str, tuple[bytes, bytes]]:
        """Make a token; return its id, and the two fields."""
        made, secret = await self.tokens.create(name, 60.0)
        await until(lambda: self.tokens.find(made.id) is not None)
        fields = (prefix + b"-Client-Id: " + made.id.encode(), prefix + b"-Client-Secret: " + secret.encode())
        return made.id, fields

    async def test_in_and_out(self) -> None:
        """Under both pairs of names it is let in, until it is revoked; the origin never sees the secret."""
        for prefix in (b"Warp", b"CF-Access"):
            token, fields = await self.create("ci", prefix)
            client = await self.edge.visitor()
            self.assertEqual(status_of(await self.ask(request(b"GET /", *fields), client)), 200)
            self.assertEqual(self.entry()["user"], "ci")
            self.assertNotIn(fields[1].partition(b": ")[2], self.edge.origin.seen)
            self.assertIn(fields[0], self.edge.origin.seen)
            await self.tokens.revoke(token)
            await until(lambda token=token: self.tokens.find(token) is None)  # type: ignore[misc]
            self.assertEqual(status_of(await self.ask(request(b"GET /", *fields), client)), 401)

    async def test_of_another_name(self) -> None:
        """A token that the rule does not name is refused, and so is a wrong secret."""
        _, fields = await self.create("deploy")
        self.assertEqual(status_of(await self.ask(request(b"GET /", *fields))), 401)
        _, fields = await self.create("ci")
        self.assertEqual(status_of(await self.ask(request(b"GET /", fields[0], fields[1] + b"0"))), 401)
        self.assertEqual(self.edge.origin.seen, b"")

    async def test_a_secret_beside_another_proof(self) -> None:
        """Whoever is let in by something else does not hand the secret to the origin either."""
        _, fields = await self.create("deploy")
        for twin in (b"Client-Secret", b"client_secret", b"Client.Secret"):
            secret = fields[1].replace(b"Client-Secret", twin)
            self.assertEqual(status_of(await self.ask(request(b"GET /", ANN, fields[0], secret))), 200)
        self.assertNotIn(fields[1].partition(b": ")[2], self.edge.origin.seen)


class ReloadTests(PolicyTestCase):
    """A policy that changes."""

    async def test_users_change(self) -> None:
        """A user that is removed is out at the next look, whatever was remembered."""
        self.assertEqual(status_of(await self.ask(request(b"GET /v1/a", ANN))), 200)
        self.write_users(other="bob")
        await self.follower.look()
        self.assertEqual(status_of(await self.ask(request(b"GET /v1/a", ANN))), 401)

    async def test_a_bad_file_changes_nothing(self) -> None:
        """What cannot be used is said once, and the policy in force stays; so does the count of its limits."""
        client = await self.edge.visitor()
        for _ in range(60):
            await self.ask(request(b"GET /v1/a", ANN), client)
        (self.directory / "users").write_text("ann:plain\n")
        await self.follower.look()
        await self.follower.look()
        self.assertEqual(len(self.flushLoggedErrors()), 0)
        self.assertEqual(status_of(await self.ask(request(b"GET /admin", ANN))), 403)
        with self.assertRaisesRegex(InvalidSettings, r"users: line 1: expected an argon2id hash"):
            await self.follower.reload(str(self.file), str(self.directory))
        self.file.write_text("rules: [{name: x, routes: []}]")
        await self.follower.look()
        self.assertEqual(status_of(await self.ask(request(b"GET /admin", ANN))), 403)
        with self.assertRaisesRegex(InvalidSettings, r"rules\[0\].routes"):
            await self.follower.reload(str(self.file), str(self.directory))

    async def test_limits_go_on_counting(self) -> None:
        """A reload gives nobody a fresh burst."""
        self.file.write_text(SENTENCE.replace("rate: 50/s, burst: 50", "rate: 1/m, burst: 3"))
        await self.follower.look()
        statuses = [status_of(await self.ask(request(b"GET /v1/a", ANN))) for _ in range(4)]
        self.file.write_text(SENTENCE.replace("rate: 50/s, burst: 50", "rate: 1/m, burst: 3") + "# changed\n")
        await self.follower.look()
        statuses.append(status_of(await self.ask(request(b"GET /v1/a", ANN))))
        self.assertEqual(statuses, [200, 200, 200, 429, 429])

    async def test_without_a_policy(self) -> None:
        """The edge lets everything pass once it follows no file."""
        await self.follower.reload(None, str(self.directory))
        self.assertEqual(status_of(await self.ask(request(b"GET /admin"))), 200)


class LogOnlyTests(PolicyTestCase):
    """Rules that only log, what is concurrent, and https."""

    text = """
rules:
  - {name: try-it, log_only: true, match: {path: /old/*}, deny: true}
  - name: one-at-a-time
    match: {path: /slow}
    limits: [{name: one, of: concurrent_requests, most: 1}]
  - {name: secure, match: {path: /secure/*}, https: redirect}
"""

    async def test_log_only(self) -> None:
        """The request passes; log and metrics say what would have been."""
        self.assertEqual(status_of(await self.ask(request(b"GET /old/x"))), 200)
        self.assertEqual(self.entry()["would"], "try-it")
        samples = {sample.name: sample for family in self.policy.collect() for sample in family.samples}
        sample = samples["warp_edge_policy_would_refuse_total"]
        self.assertEqual((sample.labels, sample.value), ({"rule": "try-it", "reason": "denied"}, 1))

    async def test_concurrent(self) -> None:
        """One request at a time; when it is over, however it ends, the next passes."""
        self.edge.origin.answer = None
        first = await self.edge.visitor()
        first.send(request(b"GET /slow"))
        await self.edge.origin.until(b"/slow")
        self.assertEqual(status_of(await self.ask(request(b"GET /slow"))), 429)
        first.abort()
        await until(lambda: not self.edge.visitors.connections or len(self.edge.visitors.connections) == 1)
        self.edge.origin.answer = answer_each()
        self.assertEqual(status_of(await self.ask(request(b"GET /slow"))), 200)
        self.assertEqual(status_of(await self.ask(request(b"GET /slow"))), 200)

    async def test_redirect(self) -> None:
        """Plain requests are sent to https, to the same place."""
        answer = await self.ask(request(b"GET /secure/a?b=c"))
        self.assertEqual(status_of(answer), 308)
        self.assertIn(b"Location: https://app.example/secure/a?b=c\r\n", answer)
        self.assertEqual(self.edge.origin.seen, b"")

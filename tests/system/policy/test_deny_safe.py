"""What fails denies: errors in checks, files and hosts that are gone, policies of newer releases, reloads meanwhile."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

from twisted.internet.defer import Deferred, execute
from twisted.logger import capturedLogs
from twisted.web.client import BrowserLikePolicyForHTTPS

from tests.case import reactor, until
from tests.policy.authentication.keys import EC_KEY, member, signed
from tests.system.edge.harness import answer_each, status_of
from tests.system.edge.test_policy import ANN, PolicyTestCase, request
from warp_twisted.edge.policy.delivery.following import PolicyFollower
from warp_twisted.edge.policy.fetched_keys import FetchedKeys
from warp_twisted.edge.policy.in_force import PolicyInForce
from warp_twisted.errors import InvalidSettings
from warp_twisted.policy.authentication.basic import BasicCheck
from warp_twisted.policy.authentication.jwt import JwtCheck
from warp_twisted.policy.interfaces import Answer, Question
from warp_twisted.web_client import make_agent

_JWT = "issuer: https://id.example, audience: app, algorithms: [ES256]"
_OF_FILES = f"""
rules:
- {{name: users, match: {{path: /users}}, authenticate: {{any_of: [{{basic: {{users_file: users}}}}]}}}}
- {{name: keys, match: {{path: /keys}}, authenticate: {{any_of: [{{jwt: {{jwks_file: keys.json, {_JWT}}}}}]}}}}
- {{name: list, match: {{path: /list}}, sources: {{deny: [{{file: list.txt, format: prefixes}}]}}}}
"""


def bearer() -> bytes:
    """Return the field with a token that is good now."""
    return b"Authorization: Bearer " + signed(exp=int(time.time()) + 600).encode()


def _make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


class FilesTests(PolicyTestCase):
    """Files that a policy names, and the policy itself, become unreadable."""

    text = "rules: []"

    async def prepare(self) -> None:
        await super().prepare()
        self.write_files()
        self.file.write_text(_OF_FILES)
        await self.follower.look()

    def write_files(self) -> None:
        """Write what the policy names."""
        self.write_users(geheim="ann")
        (self.directory / "keys.json").write_text(json.dumps({"keys": [member(EC_KEY, "e")]}))
        (self.directory / "list.txt").write_text("127.0.0.0/8\n")

    async def assert_in_force(self, case: object) -> None:
        """See that the policy of before judges: who is let in, and who is not, of whom the origin sees nothing."""
        client = await self.edge.visitor()
        before = self.edge.origin.seen
        for line, fields, status in (
            (b"GET /users", (), 401),
            (b"GET /keys", (), 401),
            (b"GET /list", (ANN, bearer()), 403),
        ):
            self.assertEqual(status_of(await self.ask(request(line, *fields), client)), status, (case, line))
        self.assertEqual(self.edge.origin.seen, before)
        for line, field in ((b"GET /users", ANN), (b"GET /keys", bearer())):
            self.assertEqual(status_of(await self.ask(request(line, field), client)), 200, (case, line))

    async def test_while_it_is_in_force(self) -> None:
        """A file that is gone, not to be read, or nonsense leaves the policy as it was; that is said, once."""
        breakages: list[Callable[[Path], object]] = [
            Path.unlink,
            _make_directory,
            lambda path: path.write_bytes(b"\xff\x00"),
            lambda path: path.write_text("nonsense"),
        ]
        for name in ("users", "keys.json", "list.txt", "policy.yaml"):
            for number, spoil in enumerate(breakages):
                path = self.directory / name
                spoil(path)
                with capturedLogs() as logged:
                    await self.follower.look()
                    await self.follower.look()
                said = [event["log_format"] for event in logged if event["log_level"].name == "error"]
                self.assertEqual(len(said), 1, (name, number, said))
                self.assertIn("the one before stays in force", said[0])
                self.assertIn(str(path), self.follower.standing.error)
                await self.assert_in_force((name, number))
                if path.is_dir():
                    path.rmdir()
                self.write_files()
                self.file.write_text(_OF_FILES)
                await self.follower.look()
                self.assertEqual(self.follower.standing.error, "", (name, number))

    async def test_at_the_start(self) -> None:
        """An edge does not begin without a file that its policy needs, and names it."""
        for name in ("users", "keys.json", "list.txt", "policy.yaml"):
            (self.directory / name).unlink()
            follower = PolicyFollower(PolicyInForce(), reactor, execute)
            with self.assertRaisesRegex(InvalidSettings, f"^policy: .*{name}"):
                follower.begin(str(self.file), str(self.directory))
            self.write_files()
            self.file.write_text(_OF_FILES)

    async def test_other_releases(self) -> None:
        """A policy of a newer release, or one that would prove nothing, is refused whole; the old one stays."""
        for text, said in (
            ("version: 2\nrules: []\n", "version: 2 is newer than 1, which this release knows"),
            (_OF_FILES + "- {name: new, something_new: true}\n", "rules[3].something_new: unknown key"),
            (_OF_FILES + "- {name: new, authenticate: {any_of: []}}\n", "rules[3].authenticate.any_of"),
            (_OF_FILES + "- {name: new, authenticate: {}}\n", "rules[3].authenticate"),
        ):
            self.file.write_text(text)
            await self.follower.look()
            self.assertIn(said, self.follower.standing.error)
            await self.assert_in_force(said)


class ChecksTests(PolicyTestCase):
    """Checks that fail, and issuers that are away."""

    text = f"""
rules:
- {{name: keys, authenticate: {{any_of: [{{jwt: {{jwks_url: "https://127.0.0.1:1/keys", {_JWT}}}}}]}}}}
"""

    async def test_an_error(self) -> None:
        """An error inside a check denies and is logged; what it says is not shown to the visitor."""

        def broken(*arguments: object) -> Answer:
            raise KeyError("inside")

        self.patch(JwtCheck, "look", broken)
        with capturedLogs() as logged:
            answer = await self.ask(request(b"GET /", bearer()))
        self.assertEqual((status_of(answer), self.entry()["reason"]), (503, "policy-check-failed"))
        self.assertNotIn(b"inside", answer)
        errors = [event["error"] for event in logged if event["log_format"].startswith("a check of the policy failed")]
        self.assertEqual([repr(each) for each in errors], ["KeyError('inside')"])
        self.assertEqual(self.edge.origin.seen, b"")

    async def test_keys_that_cannot_be_fetched(self) -> None:
        """While the issuer's host is down who brings a token is told 503, and who brings none 401."""
        fetched = FetchedKeys(lambda: make_agent(reactor, BrowserLikePolicyForHTTPS()), reactor, execute)
        self.policy.fetched_keys = fetched
        self.policy.use(self.policy.loaded)
        with capturedLogs() as logged:
            fetched.start()
            self.addCleanup(fetched.stop)
            await until(lambda: any("https://127.0.0.1:1/keys" in str(event.get("url")) for event in logged))
        client = await self.edge.visitor()
        self.assertEqual(status_of(await self.ask(request(b"GET /", bearer()), client)), 503)
        self.assertEqual(self.entry()["reason"], "policy-check-busy")
        self.assertEqual(status_of(await self.ask(request(b"GET /"), client)), 401)
        self.assertEqual(self.edge.origin.seen, b"")


class MeanwhileTests(PolicyTestCase):
    """A reload while requests are under way."""

    text = """
rules:
- name: users
  authenticate: {any_of: [{basic: {users_file: users}}]}
  limits: [{name: one, of: concurrent_requests, most: 1}]
"""
    closed = "rules: [{name: closed, deny: true}]"

    async def follow(self, text: str) -> None:
        """Put another policy in force."""
        self.file.write_text(text)
        await self.follower.look()
        self.assertEqual(self.follower.standing.error, "")

    async def test_while_a_password_is_hashed(self) -> None:
        """A request is judged by one policy from beginning to end, and the next one by the new one."""
        is_asked, may_answer = Event(), Event()
        self.addCleanup(may_answer.set)
        is_right = BasicCheck.is_right

        def slow(check: BasicCheck, question: Question) -> Answer:
            is_asked.set()
            may_answer.wait(10)
            return is_right(check, question)

        self.patch(BasicCheck, "is_right", slow)
        answering = Deferred.fromCoroutine(self.ask(request(b"GET /first", ANN)))
        await until(is_asked.is_set)
        await self.follow(self.closed)
        self.assertEqual(status_of(await self.ask(request(b"GET /second", ANN))), 403)
        may_answer.set()
        self.assertEqual(status_of(await answering), 200)
        self.assertNotIn(b"/second", self.edge.origin.seen)

    async def test_a_user_that_is_removed_while_its_password_is_hashed(self) -> None:
        """What was found about a password by the file of before counts for nobody who asks afterwards."""
        self.assertEqual(status_of(await self.ask(request(b"GET /", ANN))), 200)
        self.write_users(geheim="bob")
        await self.follower.look()
        self.assertEqual(status_of(await self.ask(request(b"GET /", ANN))), 401)
        self.assertEqual(self.edge.origin.seen.count(b"GET /"), 1)

    async def test_while_a_body_comes(self) -> None:
        """A request that was let in arrives whole; the next one on its connection is judged by the new policy."""
        self.edge.origin.answer = None
        body = bytes(range(256)) * 400
        client = await self.edge.visitor()
        whole = request(b"POST /upload", ANN, body=body)
        client.send(whole[:-50_000])
        await self.edge.origin.until(b"POST /upload")
        await self.follow(self.closed)
        client.send(whole[-50_000:])
        await self.edge.origin.until(body)
        assert self.edge.origin.last is not None
        self.edge.origin.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await client.until(b"200 OK\r\n")
        self.assertEqual(status_of(await self.ask(request(b"GET /second", ANN), client)), 403)

    async def test_what_was_taken_is_given_back(self) -> None:
        """A request that began under the policy of before counts still, and makes room when it ends."""
        self.edge.origin.answer = None
        first = await self.edge.visitor()
        first.send(request(b"GET /first", ANN))
        await self.edge.origin.until(b"/first")
        await self.follow(self.text + "# changed\n")
        self.assertEqual(status_of(await self.ask(request(b"GET /second", ANN))), 429)
        assert self.edge.origin.last is not None
        self.edge.origin.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await first.until(b"200 OK\r\n")
        self.edge.origin.answer = answer_each()
        self.assertEqual(status_of(await self.ask(request(b"GET /third", ANN))), 200)
        self.assertNotIn(b"/second", self.edge.origin.seen)

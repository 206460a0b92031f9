"""Challenges by DNS updates at a live edge, as BIND's nsupdate sends them."""

from pathlib import Path

from twisted.internet.utils import getProcessOutputAndValue

from tests.case import reactor, until_said
from tests.system.dns.peers import KEY_NAME, SECRET_TEXT
from tests.system.edge.acme.test_challenges import FIRST, NAME, SECOND, texts
from tests.system.edge.live import HOST, ZONE
from tests.system.edge.test_admin import AdminTestCase


class UpdateTests(AdminTestCase):
    """An edge with a key for challenges."""

    async def prepare(self) -> None:
        """Write the key's secret, and start."""
        secret = Path(self.mktemp())
        secret.write_text(SECRET_TEXT)
        keys = [{"name": KEY_NAME, "secret_file": str(secret)}]
        self.sections = {"dns": {"keys": keys, "challenge_keys": [KEY_NAME]}}
        await super().prepare()

    async def update(self, *lines: str, key: bool = True) -> str:
        """Let nsupdate do an update; return what it says, nothing if all is well."""
        _, port = self.node.ports.dns[0]
        script = Path(self.mktemp())
        script.write_text("\n".join([f"server {HOST} {port}", f"zone {ZONE}", *lines, "send", ""]))
        signed = ["-y", f"hmac-sha256:{KEY_NAME}:{SECRET_TEXT}"] if key else []
        output, errors, _ = await getProcessOutputAndValue("/usr/bin/nsupdate", [*signed, str(script)], reactor=reactor)
        said: bytes = output + errors
        return said.decode().strip()

    async def answered(self, *values: str) -> None:
        """Wait until these are answered."""

        async def is_answered() -> bool:
            return await texts(self.node) == sorted(values)

        await until_said(is_answered)

    async def test_added_and_removed(self) -> None:
        """Values come and go as they are sent, over TCP, too."""
        self.assertEqual(await self.update(f"add {NAME} 60 TXT {FIRST}", f"add {NAME} 60 TXT {SECOND}"), "")
        await self.answered(FIRST, SECOND)
        self.assertEqual(await self.update(f"delete {NAME} TXT {FIRST}"), "")
        await self.answered(SECOND)
        self.assertEqual(await self.update(f"delete {NAME} TXT", f"add {NAME} 60 TXT {FIRST}"), "")
        await self.answered(FIRST)
        self.assertEqual(await self.update(f"delete {NAME}"), "")
        await self.answered()

    async def test_what_is_refused(self) -> None:
        """Without the key, at other names, of other types, of other texts: nothing is published."""
        refused = "update failed: REFUSED"
        self.assertEqual(await self.update(f"add {NAME} 60 TXT {FIRST}", key=False), refused)
        for line in (
            f"add www.{ZONE} 60 TXT {FIRST}",
            f"add {NAME} 60 CNAME {ZONE}",
            f"add {NAME} 60 TXT hello",
            f"delete {ZONE} NS",
            f"delete www.{ZONE}",
            f"prereq nxdomain {NAME}\nadd {NAME} 60 TXT {FIRST}",
        ):
            self.assertEqual(await self.update(line), refused, line)
        await self.answered()

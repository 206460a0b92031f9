"""
What a policy is assembled from where there is no edge: files are read, nothing is counted.

Nobody is asked for credentials: who is proven is what the command was told.
"""

from collections.abc import Hashable, Sequence
from pathlib import Path

from warp_twisted.policy.document.authentication import Proof
from warp_twisted.policy.document.limits import Limit
from warp_twisted.policy.document.sources import Source, SourceEntry
from warp_twisted.policy.errors import InvalidPolicy
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.interfaces import ABSENT, Answer, Identity, Outcome
from warp_twisted.policy.sources.crowdsec import DecisionsError, crowdsec_prefixes
from warp_twisted.policy.sources.prefixes import PrefixError, PrefixSet, set_of_lists

MAX_LIST_BYTES = 64 << 20  # of a file of prefixes


class OfflineParts:
    """
    Makes the parts of a policy.

    :param directory: where the files are that a policy names.
    :param identities: kind of check → the subjects that are proven.
    """

    def __init__(self, directory: Path, identities: Sequence[Identity] = ()) -> None:
        self._directory = directory
        self._identities = identities

    def source_set(self, entries: Sequence[Source], where: str) -> PrefixSet:
        """Read a list of addresses."""
        lists = [
            (f"{where}[{index}]", [entry]) if isinstance(entry, str) else self._list(entry, f"{where}[{index}]")
            for index, entry in enumerate(entries)
        ]
        try:
            return set_of_lists(lists, where)
        except PrefixError as error:
            raise InvalidPolicy(f"{error}") from error

    def limiter(self, limit: Limit, rule: str, where: str) -> "_Unlimited":
        """Make a limiter that grants everything."""
        return _Unlimited()

    def check(self, proof: Proof, where: str) -> "_Told":
        """Make a check that proves what the command was told."""
        kind = next(name for name in proof.__struct_fields__ if getattr(proof, name) is not None)
        for key in ("users_file", "jwks_file", "ca_file"):
            name = getattr(getattr(proof, kind), key, None)
            if name is not None:
                self._content(name, f"{where}.{kind}.{key}")
        return _Told(kind, [each for each in self._identities if each.kind == kind])

    def _list(self, entry: SourceEntry, where: str) -> tuple[str, list[str]]:
        """Return what a list in a file is called, and its lines."""
        if entry.file is None:
            raise InvalidPolicy(f"{where}: places need a database, which only an edge has")
        text = self._content(entry.file, f"{where}.file").decode("utf-8", "replace")
        try:
            lines = crowdsec_prefixes(text) if entry.format == "crowdsec" else text.splitlines()
        except DecisionsError as error:
            raise InvalidPolicy(f"{where}.file: {self._directory / entry.file}: {error}") from error
        return f"{where}.file: {entry.file}", lines

    def _content(self, name: str, where: str) -> bytes:
        path = self._directory / name
        try:
            with path.open("rb") as file:
                content = file.read(MAX_LIST_BYTES + 1)
        except OSError as error:
            raise InvalidPolicy(f"{where}: {path}: {error.strerror}; name its directory with --files") from error
        if len(content) > MAX_LIST_BYTES:
            raise InvalidPolicy(f"{where}: {path}: larger than {MAX_LIST_BYTES >> 20} MiB")
        return content


class _Unlimited:
    """Grants everything."""

    def take(self, key: Hashable, price: float, now: float) -> float:
        """Grant it."""
        return 0.0

    def give_back(self, key: Hashable, price: float) -> None:
        """Forget it."""


class _Told:
    """Proves who was named on the command line."""

    challenge = b"Basic"  # any: it tells a request without credentials from one that is denied for good
    carriers = ()

    def __init__(self, kind: str, identities: Sequence[Identity]) -> None:
        self.kind = kind
        self._identities = identities

    def look(self, facts: Facts, now: float, wall: float) -> Answer:
        """Return the identity of this kind, if one was named."""
        return Answer(Outcome.PROVEN, self._identities[0]) if self._identities else ABSENT

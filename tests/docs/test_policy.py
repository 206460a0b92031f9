"""Tests that docs/policy.md has every key, in words and in an example, and that its examples do what it says."""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import yaml
from msgspec import inspect
from twisted.trial.unittest import SynchronousTestCase

from tests.cli.invoke import invoke
from tests.dns.mmdb import database, number
from tests.docs.settings_keys import keys_in, keys_of
from tests.docs.test_yaml_examples import blocks
from warp_twisted.cli.policy.cases import Cases
from warp_twisted.policy.document.policy import Policy, parse_policy
from warp_twisted.policy.paths.spelling import ALLOWABLE
from warp_twisted.policy.verdict import REASONS

_DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "policy.md"
_FILES: dict[str, str | bytes] = {
    "lists/branches.txt": "203.0.113.64/26\n",
    "users.argon2": "",
    "keys.json": "{}",
    "ca.pem": "",
    "decisions.json": '[{"scope": "Ip", "type": "ban", "value": "203.0.113.66"}]',
    "GeoLite2-Country.mmdb": database(
        {
            "192.0.2.0/25": {"country": {"iso_code": "DE"}},
            "192.0.2.128/26": {"country": {"iso_code": "AQ"}},
            "192.0.2.192/26": {"country": {"iso_code": "AT"}},
            "2001:db8::/32": {"country": {"iso_code": "CH"}},
        },
        6,
    ),
    "GeoLite2-ASN.mmdb": database({"192.0.2.192/26": {"autonomous_system_number": number(64496, 4)}}, 6),
}
Key = tuple[type[msgspec.Struct], str]


def keys_of_type(kind: inspect.Type, seen: set[type]) -> Iterator[Key]:
    """Yield struct and field of everything that may stand below a type."""
    if isinstance(kind, inspect.Metadata):
        yield from keys_of_type(kind.type, seen)
    elif isinstance(kind, inspect.UnionType):
        for each in kind.types:
            yield from keys_of_type(each, seen)
    elif isinstance(kind, inspect.ListType | inspect.VarTupleType):
        yield from keys_of_type(kind.item_type, seen)
    elif isinstance(kind, inspect.DictType):
        yield from keys_of_type(kind.value_type, seen)
    elif isinstance(kind, inspect.StructType) and kind.cls not in seen:
        seen.add(kind.cls)
        for field in kind.fields:
            yield kind.cls, field.encode_name
            yield from keys_of_type(field.type, seen)


def keys_used(value: object) -> Iterator[Key]:
    """Yield struct and field of everything that was set in a value."""
    if isinstance(value, msgspec.Struct):
        for field in msgspec.structs.fields(value):
            inner = getattr(value, field.name)
            default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
            if field.required or inner != default:
                yield type(value), field.encode_name
                yield from keys_used(inner)
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from keys_used(each)


class PolicyDocumentTests(SynchronousTestCase):
    """docs/policy.md."""

    def setUp(self) -> None:
        self.text = _DOCUMENT.read_text()
        self.blocks = list(blocks(_DOCUMENT))

    def test_each_key_has_an_example(self) -> None:
        """Each key of the format is used in an example with a value of its own."""
        wanted = set(keys_of_type(inspect.type_info(Policy), set())) - {(Policy, "version")}
        used: set[Key] = set()
        for text in self.blocks:
            if not text.startswith("cases:"):
                used |= set(keys_used(parse_policy(text, "docs/policy.md")))
        # Inherited keys are documented once; defaults have an example of some.
        missing = {f"{kind.__name__}.{key}" for kind, key in wanted - used}
        inherited = {"Defaults", "Https.redirect"}
        self.assertEqual(
            {each for each in missing if each.split(".")[0] not in inherited and each not in inherited}, set()
        )

    def test_each_key_is_named(self) -> None:
        """Each key is in the text, too, and each kind of odd path and each reason."""
        names = {key for _, key in keys_of_type(inspect.type_info(Policy), set())}
        names |= ALLOWABLE | {reason.slug for reason in REASONS}
        words = {
            word
            for code in re.findall(r"`([^`\n]+)`", self.text)
            for word in re.findall(r"[a-z_][a-z0-9_]*(?:-[a-z]+)*", code)
        }
        self.assertEqual(names - words, set())

    def test_keys_of_cases(self) -> None:
        """The file of cases has these keys and defaults."""
        told = keys_in(self.text, "Cases")
        known = keys_of(Cases)
        self.assertEqual(told.keys(), known.keys())
        self.assertEqual({key: told[key] for key in told if told[key] != "any"}, {
            key: value for key, value in known.items() if value is not None
        })  # fmt: skip

    def test_cases(self) -> None:
        """Each example that is followed by cases does what they say, by the command that a reader would use."""
        directory = Path(self.mktemp())
        for name, content in _FILES.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        count = 0
        for policy, cases in zip(self.blocks, self.blocks[1:], strict=False):
            if cases.startswith("cases:"):
                (directory / "policy.yaml").write_text(policy)
                (directory / "cases.yaml").write_text(cases)
                ran = invoke("policy", "test", str(directory / "policy.yaml"), str(directory / "cases.yaml"))
                self.assertEqual((ran.status, ran.errors), (0, ""), f"{policy}\n{ran.output}")
                count += len(yaml.safe_load(cases)["cases"])
        self.assertGreater(count, 30)

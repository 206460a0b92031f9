"""Tests for constraints.pins: reading and writing files, and joining those of several Pythons."""

from twisted.trial.unittest import SynchronousTestCase

from constraints.pins import Malformed, Pin, chosen, merged, read, write

_A, _B = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
_TWO = [Pin("attrs", "26.1.0", (_A, _B), ("run", "check")), Pin("ruff", "0.8.0", (_A,), ("check",))]


class FileTests(SynchronousTestCase):
    """One file."""

    def test_written_and_read_again(self) -> None:
        """What is written is read as it was, sorted by name, below its heading."""
        text = write(reversed(_TWO), "What this is.\nWho wrote it.")
        self.assertTrue(text.startswith("# What this is.\n# Who wrote it.\n\n# run check\nattrs==26.1.0 \\\n"), text)
        self.assertEqual(read(text), _TWO)

    def test_marker(self) -> None:
        """A marker is kept."""
        pin = Pin("numpy", "2.4.6", (_A,), (), 'python_version < "3.12"')
        self.assertEqual(read(write([pin], "Heading.")), [pin])

    def test_an_entry_without_a_hash_is_refused(self) -> None:
        """Each entry ends with a hash; the line is named."""
        for text in ("attrs==26.1.0\n", "attrs==26.1.0 \\\nruff==0.8.0 \\\n", "attrs>=26 \\\n    --hash=md5:1\n"):
            with self.assertRaisesRegex(Malformed, "line [12]: expected"):
                read(text)

    def test_a_comment_is_no_set(self) -> None:
        """Only the names of sets right above an entry count."""
        (pin,) = read(f"# run into the ground\nattrs==26.1.0 \\\n    --hash={_A}\n")
        self.assertEqual(pin.sets, ())

    def test_chosen(self) -> None:
        """A set brings what it needs, and several sets bring what any of them needs."""
        self.assertEqual([pin.name for pin in chosen(_TWO, ["run"])], ["attrs"])
        self.assertEqual([pin.name for pin in chosen(_TWO, ["run", "check"])], ["attrs", "ruff"])


class MergedTests(SynchronousTestCase):
    """One file for several Pythons."""

    def test_the_same_everywhere_has_no_marker(self) -> None:
        """A package that all Pythons have in one version stands there once, without its sets."""
        self.assertEqual(merged({"3.11": _TWO[:1], "3.12": _TWO[:1]}), [Pin("attrs", "26.1.0", (_A, _B))])

    def test_versions_that_differ(self) -> None:
        """Where versions differ each has its Pythons, and the outer ones are open to older and newer ones."""
        old, new = Pin("numpy", "1", (_A,)), Pin("numpy", "2", (_A,))
        found = merged({"3.11": [old], "3.12": [new], "3.13": [new]})
        self.assertEqual(
            [(pin.version, pin.marker) for pin in found],
            [("1", 'python_version < "3.12"'), ("2", 'python_version >= "3.12"')],
        )

    def test_one_python_alone(self) -> None:
        """What only a middle Python has is bounded on both sides."""
        (pin,) = merged({"3.11": [], "3.12": [Pin("a", "1", (_A,))], "3.13": []})
        self.assertEqual(pin.marker, 'python_version >= "3.12" and python_version < "3.13"')

    def test_a_gap_is_refused(self) -> None:
        """A version that leaves out a Python between two others has no simple marker, and is said."""
        pin = Pin("a", "1", (_A,))
        with self.assertRaisesRegex(ValueError, "a 1 is for some Pythons"):
            merged({"3.11": [pin], "3.12": [], "3.13": [pin]})

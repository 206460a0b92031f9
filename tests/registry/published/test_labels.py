"""Tests of labels as DNS writes them."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.registry.published.labels import MAX_TEXT, PublishedLabels, attributes, label_names, quoted


class LabelsTests(SynchronousTestCase):
    """Which labels are published, and how."""

    def test_of_a_tunnel(self) -> None:
        """A label set is there as names, as one text by key, and as pairs."""
        labels = PublishedLabels.of({"tier": "web", "release": "v1.2"})
        self.assertEqual(labels.names, ("v1-2.release", "web.tier"))
        self.assertEqual(labels.text, "release=v1.2,tier=web")
        self.assertEqual(labels.pairs, (("release", "v1.2"), ("tier", "web")))

    def test_private(self) -> None:
        """Keys that begin with `private.` are left out everywhere; others that only contain it are not."""
        labels = PublishedLabels.of({"private.owner": "a", "private.example.org/x": "b", "non-private.x": "c"})
        self.assertEqual(labels.pairs, (("non-private.x", "c"),))
        self.assertEqual((labels.text, labels.names), ("non-private.x=c", ("c.non-private-x",)))

    def test_label_names(self) -> None:
        """Labels are written as DNS labels; those that become one are there once, and what cannot be is left out."""
        labels = {"Release": "v1.2", "release": "v1-2", "empty": "", "k" * 64: "x"}
        self.assertEqual(label_names(labels), ("v1-2.release",))

    def test_quoted(self) -> None:
        """A text longer than one character-string is several."""
        self.assertEqual(quoted("a=b"), '"a=b"')
        self.assertEqual(quoted("x" * 256), f'"{"x" * 255}" "x"')


class AttributesTests(SynchronousTestCase):
    """TXT data of a service instance, RFC 6763 §6."""

    def test_a_string_for_each_key(self) -> None:
        """Each key has one string, in which values that differ stand together; one without a value keeps its `=`."""
        values = {"tier": {"web": 1}, "release": {"stable": 2, "canary": 1}, "empty": {"": 1}}
        self.assertEqual(attributes(values), '"empty=" "release=canary,stable" "tier=web"')

    def test_without_any(self) -> None:
        """Without labels there is one empty string: "a TXT record containing zero strings is not allowed"."""
        self.assertEqual(attributes({}), '""')

    def test_case_of_keys(self) -> None:
        """Of keys that differ in case only the first is there."""
        self.assertEqual(attributes({"A": {"1": 1}, "a": {"2": 1}}), '"A=1"')

    def test_long_strings(self) -> None:
        """Values beyond 255 octets are left out, and a key for which there is no room for any."""
        values = {f"{number:063}": 1 for number in range(5)}
        self.assertEqual(attributes({"k": values}), f'"k={",".join(list(values)[:3])}"')
        self.assertEqual(attributes({"k" * 254: {"": 1}}), f'"{"k" * 254}="')
        self.assertEqual(attributes({"k" * 255: {"": 1}, "a": {"b": 1}}), '"a=b"')

    def test_as_much_as_one_packet_holds(self) -> None:
        """All strings together are not longer than what RFC 6763 §6.2 has fit into one packet."""
        text = attributes({f"key{number:02}": {"x" * 60: 1} for number in range(40)})
        strings = text.split(" ")
        size = sum(len(string) - 1 for string in strings)
        self.assertTrue(MAX_TEXT - 68 < size <= MAX_TEXT, size)

"""Tests of `tests.docs.console`: which commands a document holds, and what counts as the same output."""

from twisted.trial.unittest import SynchronousTestCase

from tests.docs.console import Example, examples, matches

_DOCUMENT = """\
# Title

```console
$ warp version
warp 0.1.0
$ true
```

<!-- demo -->
```console
$ curl \\
    http://hello.warp.localhost:8080/
...works...
```

```sh
$ not run
```

```console
$ cat <<END
> text
> END
text
$ warp nope
warp: No such command
```
"""


class ExamplesTests(SynchronousTestCase):
    """Finding commands."""

    def test_commands_with_what_they_print(self) -> None:
        """Only console blocks count; continued lines are joined; the demo mark holds for one block."""
        self.assertEqual(
            list(examples(_DOCUMENT)),
            [
                Example(line=4, command="warp version", expected="warp 0.1.0", needs_demo=False),
                Example(line=6, command="true", expected="", needs_demo=False),
                Example(
                    line=11,
                    command="curl http://hello.warp.localhost:8080/",
                    expected="...works...",
                    needs_demo=True,
                ),
                Example(line=21, command="cat <<END\ntext\nEND", expected="text", needs_demo=False),
                Example(line=25, command="warp nope", expected="warp: No such command", needs_demo=False),
            ],
        )

    def test_refusals_must_fail(self) -> None:
        """A command shown with `warp: …` is one that fails."""
        self.assertEqual([example.must_fail for example in examples(_DOCUMENT)], [False, False, False, False, True])


class MatchesTests(SynchronousTestCase):
    """Comparing output."""

    def test_dots_stand_for_anything(self) -> None:
        """Three dots match any text, lines included; everything else is literal."""
        self.assertTrue(matches("a...z", "a\nb\nz"))
        self.assertTrue(matches("a (1.5 s)", "a (1.5 s)  \n"))
        self.assertFalse(matches("a.c", "abc"))
        self.assertFalse(matches("a", "a b"))

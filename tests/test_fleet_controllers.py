"""Tests for the choice of the ansible-core that playbooks are run with."""

import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from constraints.pins import LOWEST, file_of
from tests.fleet.controllers import NEWEST, OLDEST, kind_of, playbook_command, pythons
from tests.fleet.place import FleetError, Place, run


class ControllerTests(SynchronousTestCase):
    """Tests for what each environment has."""

    def test_oldest_and_newest(self) -> None:
        """The oldest has the lowest versions, and the oldest Python; the newest has those of the newest Python here."""
        found = {"3.11": "/usr/bin/python3.11", "3.13": "/usr/bin/python3.13"}
        self.assertEqual(kind_of(OLDEST, found), ("3.11", LOWEST))
        self.assertEqual(kind_of(NEWEST, found), ("3.13", file_of("3.13")))

    def test_python_that_is_not_here(self) -> None:
        """What cannot be had is said, with the Python that it needs; so is a choice that there is not."""
        said = str(self.assertRaises(FleetError, kind_of, OLDEST, {"3.13": "/usr/bin/python3.13"}))
        self.assertIn("the oldest ansible-core needs Python 3.11", said)
        self.assertIn("the newest ansible-core needs", str(self.assertRaises(FleetError, kind_of, NEWEST, {})))
        self.assertIn("got latest", str(self.assertRaises(FleetError, kind_of, "latest", {})))

    def test_pythons_of_this_machine(self) -> None:
        """A Python that is named is there; nothing else is."""
        for version, program in pythons().items():
            self.assertIn(f"Python {version}.", run(program, "--version"))

    def test_own(self) -> None:
        """Without a choice it is the one of the tests' own environment."""
        (program,) = playbook_command(Place(), "")
        self.assertEqual(Path(program).parent, Path(sys.executable).parent)

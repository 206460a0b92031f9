"""Test that hosts install the versions that were tested."""

from twisted.trial.unittest import SynchronousTestCase

from tests.roles.constraints import FILE, text


class ConstraintsTests(SynchronousTestCase):
    """roles/warp_common/files/constraints.txt."""

    def test_versions(self) -> None:
        """The file names what the wheel needs, in this environment's versions."""
        self.assertEqual(FILE.read_text(), text(), "python -m tests.roles.constraints writes it anew")

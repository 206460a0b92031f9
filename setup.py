"""
Build entry point; every static setting is in pyproject.toml.

Editable installs use setuptools' strict mode (a tree of links on sys.path), because twistd finds
its plugins by listing directories on sys.path and cannot see through an import hook.

`warp_hangup.pth` has to lie beside the packages, where Python reads it when it starts; setuptools has no setting for
files there.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HANGUP = "warp_twisted/_dropins/warp_hangup.pth"


class BuildWithHangup(build_py):  # type: ignore[misc]  # setuptools is without types
    """Builds the packages, and puts one file beside them."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            self.copy_file(HANGUP, str(Path(self.build_lib) / Path(HANGUP).name))


setup(cmdclass={"build_py": BuildWithHangup}, options={"editable_wheel": {"mode": "strict"}})

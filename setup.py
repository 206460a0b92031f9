"""
Build entry point; every static setting is in pyproject.toml.

Editable installs use setuptools' strict mode (a tree of links on sys.path), because twistd finds
its plugins by listing directories on sys.path and cannot see through an import hook.
"""

from setuptools import setup

setup(options={"editable_wheel": {"mode": "strict"}})

"""
The names that exist in a zone because something is published at or below them, as a tree.

A wildcard of DNS stands for no name that exists, and for none below one that does (RFC 4592 §2.2.1), also where nothing
but the name below is there (an empty non-terminal, §2.2.2). So these are the names at which `publish` repeats the
pattern that covers them. Names with an underscore are no hostnames, and are not kept here.
"""

from collections.abc import Collection


class Enclosers:
    """
    The tree of one zone; its apex is always there.

    What a name costs that comes or goes depends on its length, and not on how many names there are.
    """

    def __init__(self, zone: str) -> None:
        self._zone = zone
        self._held = {zone: 1}  # name → how often it is published itself
        self._below: dict[str, dict[str, None]] = {zone: {}}  # every name → the names directly below, in order

    def __contains__(self, name: str) -> bool:
        """Whether a name exists."""
        return name in self._below

    def below(self, name: str) -> Collection[str]:
        """Return the names directly below one; none, if there is no such name."""
        return self._below.get(name, {})

    def add(self, name: str) -> list[str]:
        """
        Note that something is published at a name.

        :returns: the names that exist from now on, those above first.
        """
        self._held[name] = self._held.get(name, 0) + 1
        appeared = []
        while name not in self._below:
            appeared.append(name)
            name = name.partition(".")[2]
        appeared.reverse()
        for child in appeared:
            self._below[name][child] = None
            self._below[child] = {}
            name = child
        return appeared

    def remove(self, name: str) -> list[str]:
        """
        Note that something is published at a name no more.

        :returns: the names that do not exist any more, those below first.
        """
        self._held[name] -= 1
        if self._held[name]:
            return []
        del self._held[name]
        vanished = []
        while name not in self._held and not self._below[name]:
            del self._below[name]
            vanished.append(name)
            parent = name.partition(".")[2]
            del self._below[parent][name]
            name = parent
        return vanished

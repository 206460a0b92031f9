"""`warp demo --canary`: what it starts, what it shows while it runs, and its `--check`."""

import sys
from collections.abc import Sequence

from rich.console import Console

from warp_base.reactor import Reactor
from warp_twisted.cli.output import say
from warp_twisted.demo.canary.check import steps_of
from warp_twisted.demo.canary.releases import HOSTNAME, Releases
from warp_twisted.demo.canary.samples import Samples
from warp_twisted.demo.canary.story import Story
from warp_twisted.demo.canary.view import Lines, Objects, Screen, View
from warp_twisted.demo.canary.visitors import VISITORS
from warp_twisted.demo.check import run_steps
from warp_twisted.demo.ports import moved
from warp_twisted.demo.running import DemoRun, this_command
from warp_twisted.errors import WarpError

RATE = 50.0  # requests a second
CHECK_RATE = 100.0
REDRAW_SECONDS = 0.5


class CanaryDemo:
    """
    The demo of two releases.

    :param is_check: drive the whole release once and end, instead of going on.
    :param is_worse: the canary becomes worse on the way.
    :param is_json: print objects instead of a picture.
    """

    def __init__(self, reactor: Reactor, *, is_check: bool, is_worse: bool, is_json: bool) -> None:
        self._reactor = reactor
        self._releases = Releases(reactor, CHECK_RATE if is_check else RATE)
        self._is_worse = is_worse
        self._is_json = is_json
        self._samples = Samples()
        self._run = DemoRun(reactor, self._releases.stop, is_check=is_check)
        self._begin = self._check if is_check else self._show

    def run(self) -> int:
        """Run until it is ended; return the exit status."""
        return self._run.run(self._begin)

    async def _check(self) -> None:
        began = self._reactor.seconds()
        steps = steps_of(self._releases, self._reactor, is_worse=self._is_worse)
        is_good = await run_steps(steps, self._reactor, say)
        if not is_good:
            self._run.say_kept()
        self._run.status = 0 if is_good else 1
        verdict = "The canary release works" if is_good else "The canary release does not work"
        say(f"{verdict}: {self._reactor.seconds() - began:.1f} s")
        self._run.end()

    async def _show(self) -> None:
        releases = self._releases
        await releases.fleet.start_edge()
        await releases.start_releases()
        await releases.apply_policy()
        releases.fleet.announce()
        await releases.start_visitors()
        self._run.status = 0
        command = this_command()
        view: View = Objects(say) if self._is_json else Screen(Console()) if sys.stdout.isatty() else Lines(say)
        self._run.shown = view
        for line in welcome(releases.url, command, moved(releases.fleet.ports)):
            view.say(line)
        sys.stdout.flush()
        self._run.every(REDRAW_SECONDS, lambda: self._draw(view))
        story = Story(releases, self._reactor, view.say, command=command, is_worse=self._is_worse)
        await story.tell()

    async def _draw(self, view: View) -> None:
        try:
            split = await self._releases.split()
        except WarpError:
            return  # the edge is busy, or stops; there will be another look
        if not self._run.is_stopping:
            view.show(self._samples.take(self._reactor.seconds(), split, self._releases.visitors.seen))


def welcome(url: str, command: str, notes: Sequence[str]) -> list[str]:
    """Return the lines that tell what runs and what to try."""
    return [
        *(f"Note: {note}" for note in notes),
        f"Two releases of one application are behind {url}",
        f"{VISITORS} visitors ask {RATE:g} times a second, and keep their cookies. Look at it, in another terminal:",
        f"  {command} route show {HOSTNAME}",
        "Everything is in this process, on loopback. Ctrl-C ends it and leaves nothing behind.",
        "",
    ]

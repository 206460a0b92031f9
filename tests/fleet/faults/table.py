"""The rows: what is broken, for how long, and when all must be well again."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.fleet.faults.wrecks import AGENT, DNS, EDGE, KNOT, TUNNEL_PORT, Wrecks

HOUR, DAY = 3600.0, 86400.0
Step = Callable[[Wrecks], None]


def _nothing(wrecks: Wrecks) -> None:
    """Default step: does nothing."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """
    One row.

    :ivar name: for the command line.
    :ivar what: is done, in words.
    :ivar back_seconds: at most until visitors and resolvers are served as before: from the fault on, or from the mend.
    :ivar failed: requests that may fail at most; None: as many as come before it is mended.
    :ivar begin: what has to be there before, and `end` takes away afterwards.
    :ivar mend: None: it has to come back by itself.
    :ivar hold_seconds: before it is mended, or else may be well again.
    """

    name: str
    what: str
    wreck: Step
    back_seconds: float
    failed: int | None = None
    mend: Step | None = None
    hold_seconds: float = 0.0
    begin: Step = _nothing
    end: Step = _nothing


def _processes() -> Iterator[Fault]:
    for word, host, unit, failed in (
        ("edge", "edge1", EDGE, 40),
        ("agent", "origin1", AGENT, 40),
        ("dns", "edge1", DNS, 0),
        ("secondary", "ns1", KNOT, 0),
    ):
        yield Fault(
            name=f"kill-{word}", what=f"`kill -9` of {unit}", back_seconds=10, failed=failed,
            wreck=lambda wrecks, host=host, unit=unit: wrecks.signal(host, unit, "KILL"),  # type: ignore[misc]
        )  # fmt: skip
        if unit != KNOT:  # Debian's unit has no watchdog
            yield Fault(
                name=f"stop-{word}", what=f"`SIGSTOP` to {unit}", back_seconds=20, hold_seconds=10,
                failed=None if unit == EDGE else failed,
                wreck=lambda wrecks, host=host, unit=unit: wrecks.stop_what_serves(host, unit),  # type: ignore[misc]
            )  # fmt: skip
    yield Fault(
        name="files", what="edge: no file descriptor left, for 10 s", back_seconds=5, hold_seconds=10,
        wreck=lambda wrecks: wrecks.limit_files("edge1", EDGE, 3),  # it has the three before that
        mend=lambda wrecks: wrecks.limit_files("edge1", EDGE, None),
    )  # fmt: skip


def _hosts() -> Iterator[Fault]:
    for host, word in (("edge1", "edge"), ("origin1", "origin"), ("ns1", "secondary")):
        failed = None if word == "edge" else 60
        yield Fault(
            name=f"reboot-{word}", what=f"reboot of the host of the {word}", back_seconds=30, failed=failed,
            hold_seconds=15,  # until it is down, and long enough to be up again
            wreck=lambda wrecks, host=host: wrecks.reboot(host),  # type: ignore[misc]
        )  # fmt: skip
        yield Fault(
            name=f"power-{word}", what=f"power cut of the host of the {word}", back_seconds=30, failed=failed,
            wreck=lambda wrecks, host=host: wrecks.cut_power(host),  # type: ignore[misc]
        )  # fmt: skip


def _network() -> Iterator[Fault]:
    for seconds in (10, 60):
        yield Fault(
            name=f"link-{seconds}", what=f"links of both origins cut for {seconds} s",
            hold_seconds=seconds, back_seconds=35,
            wreck=lambda wrecks: wrecks.cut_links("origin1", "origin2"),
            mend=lambda wrecks: wrecks.join_links("origin1", "origin2"),
        )  # fmt: skip
    yield Fault(
        name="half-open-edge", what="the edge hears nothing of one origin for 30 s, which hears it",
        hold_seconds=30, back_seconds=10, failed=120,
        wreck=lambda wrecks: wrecks.drop("origin1", says=f"tcp dport {TUNNEL_PORT}"),
        mend=lambda wrecks: wrecks.drop_nothing("origin1"),
    )  # fmt: skip
    yield Fault(
        name="half-open-origin", what="one origin hears nothing of the edge for 30 s, which hears it",
        hold_seconds=30, back_seconds=10, failed=120,
        wreck=lambda wrecks: wrecks.drop("origin1", hears=f"tcp sport {TUNNEL_PORT}"),
        mend=lambda wrecks: wrecks.drop_nothing("origin1"),
    )  # fmt: skip
    loss = "meta l4proto tcp numgen random mod 100 < 20"
    yield Fault(
        name="loss", what="20 % of all packets between edge and origins lost, each way, for 20 s",
        hold_seconds=20, back_seconds=15,
        wreck=lambda wrecks: wrecks.drop("origin1", "origin2", hears=loss, says=loss),
        mend=lambda wrecks: wrecks.drop_nothing("origin1", "origin2"),
    )  # fmt: skip
    yield Fault(
        name="expire", what="secondary without its primary for 45 s, past the SOA's expire (20 s)",
        hold_seconds=45, back_seconds=75, failed=0,
        begin=lambda wrecks: wrecks.expire_soon(20), end=lambda wrecks: wrecks.expire_soon(None),
        wreck=Wrecks.cut_secondary, mend=lambda wrecks: wrecks.drop_nothing("ns1"),
    )  # fmt: skip


def _kill_edge_after(step: Step) -> Step:
    def both(wrecks: Wrecks) -> None:
        step(wrecks)
        wrecks.signal("edge1", EDGE, "KILL")

    return both


def _disks() -> Iterator[Fault]:
    for word, what, begin, wreck, mend in (
        ("full", "full", Wrecks.begin_small_disk, Wrecks.fill_disk, Wrecks.empty_disk),
        ("eio", "failing (EIO)", Wrecks.begin_failing_disk, Wrecks.fail_disk, Wrecks.mend_disk),
    ):
        yield Fault(
            name=f"disk-{word}", what=f"disk of the edge's state {what} for 10 s",
            hold_seconds=10, back_seconds=0.5, failed=0,
            begin=begin, wreck=wreck, mend=mend, end=Wrecks.end_other_disk,
        )  # fmt: skip
        yield Fault(
            name=f"disk-{word}-start",
            what=f"disk of the edge's state {what}, and `kill -9` of the edge, which starts on it",
            hold_seconds=15, back_seconds=0.5, failed=40,
            begin=begin, wreck=_kill_edge_after(wreck), mend=mend, end=Wrecks.end_other_disk,
        )  # fmt: skip


def _clocks() -> Iterator[Fault]:
    for word, ahead in (("+2h", 2 * HOUR), ("-2h", -2 * HOUR), ("+400d", 400 * DAY), ("-400d", -400 * DAY)):
        for is_start in (False, True):
            yield Fault(
                name=f"clock{word}" + ("-start" if is_start else ""),
                what=f"edge's clock {word}" + (", at its start" if is_start else " while it runs") + ", for 15 s",
                hold_seconds=15, back_seconds=35, failed=None if is_start else 0,
                begin=Wrecks.begin_own_clock, end=Wrecks.end_own_clock,
                wreck=lambda wrecks, ahead=ahead, start=is_start: wrecks.set_clock(ahead, is_start=start),  # type: ignore[misc]
                mend=lambda wrecks: wrecks.set_clock(0, is_start=False),
            )  # fmt: skip


FAULTS = {fault.name: fault for rows in (_processes, _hosts, _network, _disks, _clocks) for fault in rows()}

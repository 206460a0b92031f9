"""
One run: a layer over the tree, the committed tree cloned into it, and the commands that a newcomer types.

Mounts and processes live in namespaces of their own, which the kernel ends with the run, however that ends. The
network is this machine's.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.fleet.place import run

STEPS = ("demo ARGS=--check", "test", "check")
_END_SECONDS = 10.0
_CLONE = Path("/root/warp")
_COUNTS = re.compile(r"(\d+) passed, (\d+) failed, (\d+) skipped")
_MARK = re.compile(r"== (?P<what>begins|passed|failed): make (?P<step>.*)")

# $1 tree, $2 directory with the layer, $3… directories to show. Ends in the tree, as process 1 of it.
_ENTER = r"""
set -eu
tree=$1 layer=$2 root=$2/root
shift 2
mount -t overlay overlay -o "lowerdir=$tree,upperdir=$layer/upper,workdir=$layer/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty loop-control loop0 loop1 loop2 loop3 loop4 loop5 loop6 loop7; do
    [ -e "/dev/$device" ] || continue
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
# Not of the overlay, where a file that `chattr` makes immutable can still be written by those who have it open.
mkdir -p "$layer/scratch"
chmod 1777 "$layer/scratch"
mount --bind "$layer/scratch" "$root/var/tmp"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/0 "$root/dev/stdin"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"
for directory; do
    mkdir -p "$root$directory"
    mount --bind "$directory" "$root$directory"
    mount -o remount,bind,ro "$root$directory"
done
# Not chroot: in one, the kernel lets nobody make a namespace of users, which tests of the firewall want.
cd "$root"
pivot_root . .
umount -l .
cd /
exec sh /root/steps
"""

_STEPS = r"""
set -u
cd {clone}
for step in {steps}; do
    echo "== begins: make $step"
    if eval "make $step" </dev/null; then echo "== passed: make $step"; else echo "== failed: make $step"; fi
done
"""


@dataclass
class Verdict:
    """
    What a run came to.

    :ivar lines: a line for each step that ended, with its time.
    :ivar good_steps: how many ended with status 0.
    :ivar expected: all that were to be taken.
    """

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    lines: list[str] = field(default_factory=list)
    good_steps: int = 0
    expected: Sequence[str] = STEPS

    @property
    def is_good(self) -> bool:
        ran_tests = self.passed > 0 or "test" not in self.expected
        return ran_tests and not self.failed and self.good_steps == len(self.expected)

    def line(self) -> str:
        """Return the last line of the output: the tests' counts, and a failure more for each other step that failed."""
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


class Reader:
    """Reads what the steps print, line by line, and counts."""

    def __init__(self, steps: Sequence[str], clock: Callable[[], float]) -> None:
        self.verdict = Verdict(expected=steps)
        self._clock = clock
        self._began = clock()
        self._counted: tuple[int, int, int] | None = None

    def read(self, line: str) -> None:
        """Take one line."""
        text = line.rstrip("\n")
        if counts := _COUNTS.fullmatch(text):
            self._counted = (int(counts[1]), int(counts[2]), int(counts[3]))
        if not (mark := _MARK.fullmatch(text)):
            return
        if mark["what"] == "begins":
            self._began, self._counted = self._clock(), None
            return
        verdict, counted = self.verdict, self._counted or (0, 0, 0)
        verdict.passed += counted[0]
        is_told = counted[1] or counted[2]
        verdict.failed += counted[1] if is_told or mark["what"] == "passed" else 1
        verdict.skipped += counted[2]
        verdict.good_steps += mark["what"] == "passed"
        verdict.lines.append(f"make {mark['step']}: {mark['what']} after {self._clock() - self._began:.0f} s")

    def end(self) -> Verdict:
        """Return the verdict; a step that never ended is a failure."""
        verdict = self.verdict
        if len(verdict.lines) < len(verdict.expected):
            verdict.failed += 1
            verdict.lines.append(f"make {verdict.expected[len(verdict.lines)]}: did not end")
        return verdict


def clone(source: Path, target: Path) -> None:
    """Clone what is committed; what is not is said and left behind."""
    changed = run("git", "-c", "safe.directory=*", "-C", source, "status", "--porcelain").splitlines()
    if changed:
        print(f"Not committed, so not tried: {len(changed)} files, such as {changed[0].split()[-1]}", flush=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    run("git", "-c", "safe.directory=*", "clone", "--quiet", "--no-hardlinks", source, target)


def take_steps(
    tree: Path, source: Path, steps: Sequence[str], prepare: Callable[[Path], tuple[Mapping[str, str], Sequence[Path]]]
) -> Verdict:
    """
    Take the steps in a fresh layer, showing what they print, and leave nothing behind.

    :param prepare: puts the machine's configuration into the layer, and returns variables and directories to show.
    """
    layer = Path(tempfile.mkdtemp(prefix="run-", dir=tree.parent))
    try:
        for name in ("upper", "work", "root"):
            (layer / name).mkdir()
        upper = layer / "upper"
        clone(source, upper / _CLONE.relative_to("/"))
        variables, shown = prepare(upper)
        quoted = " ".join(f"'{step}'" for step in steps)
        (upper / "root/steps").write_text(_STEPS.format(clone=_CLONE, steps=quoted))
        environment = {
            **variables,
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
            **({"CI": os.environ["CI"]} if "CI" in os.environ else {}),
        }
        enter = ["sh", "-c", _ENTER, "fresh", str(tree), str(layer), *map(str, shown)]
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--propagation=private", *enter]
        reader = Reader(steps, time.monotonic)
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environment
        ) as running:
            try:
                for line in running.stdout or ():
                    sys.stdout.write(line)
                    sys.stdout.flush()
                    reader.read(line)
            except BaseException:
                running.kill()
                raise
        return reader.end()
    finally:
        _remove(layer)


def _remove(layer: Path) -> None:
    """Remove a layer, once the kernel has ended the last of the processes that work in it."""
    deadline = time.monotonic() + _END_SECONDS
    while layer.exists():
        shutil.rmtree(layer, ignore_errors=time.monotonic() < deadline)

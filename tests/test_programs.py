"""
Tests that the Debian packages of a target bring every program that its code starts.

On a machine that has a program anyway nobody notices that the list lacks it, so the code itself is asked.
"""

from functools import cache
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.programs import Found, reached, started

ROOT = Path(__file__).resolve().parent.parent

# Program → the Debian packages that have it, any of which will do.
PACKAGES_OF = {
    "apt-ftparchive": {"apt-utils"},
    "cargo": {"cargo"},
    "chattr": {"e2fsprogs"},
    "curl": {"curl"},
    "dig": {"bind9-dnsutils", "dnsutils"},
    "dnsperf": {"dnsperf"},
    "etcd": {"etcd-server"},
    "faketime": {"faketime"},
    "go": {"golang-go"},
    "gunicorn": {"gunicorn"},
    "haproxy": {"haproxy"},
    "ip": {"iproute2"},
    "jq": {"jq"},
    "kdig": {"knot-dnsutils"},
    "knotc": {"knot"},
    "knotd": {"knot"},
    "mkfs.ext4": {"e2fsprogs"},
    "mmdebstrap": {"mmdebstrap"},
    "named": {"bind9"},
    "nc": {"netcat-openbsd"},
    "nft": {"nftables"},
    "nginx": {"nginx-light"},
    "node": {"nodejs"},
    "nsd": {"nsd"},
    "nsupdate": {"bind9-dnsutils", "dnsutils"},
    "openssl": {"openssl"},
    "pdns_server": {"pdns-server"},
    "pebble": {"pebble"},
    "perf": {"linux-perf"},
    "promtool": {"prometheus"},
    "socat": {"socat"},
    "ssh": {"openssh-client"},
    "ssh-keygen": {"openssh-client"},
    "sshd": {"openssh-server"},
    "systemd-analyze": {"systemd"},
    "systemd-nspawn": {"systemd-container"},
    "wrk": {"wrk"},
}
# On every machine that the README asks for: git and make, and what Debian calls essential, with apt.
EVERYWHERE = {
    "apt-config", "apt-get", "bash", "git", "losetup", "make", "mount", "nsenter", "setpriv", "setsid", "sh", "sleep",
    "sync", "umount", "unshare",
}  # fmt: skip
# Nothing that is to be found: a test asks for it in order to miss it.
NOWHERE = {"no-such-program"}

# What the source does not tell: function → what it starts beside our own Python and scripts. Programs in a host of the
# fleet are the roles' own affair.
ANSWERS: dict[str, set[str]] = {
    "benchmarks.bench.open_peers": set(),  # built by benchmarks.peers.installed
    "benchmarks.dns.servers.serving": {"knotd", "nsd", "pdns_server"},
    "benchmarks.machine.versions": {"haproxy", "nginx", "ssh", "wrk"},
    "benchmarks.peers.installed.installed": set(),  # a peer that cannot be built is left out, with a line
    "benchmarks.peers.warp.open_agent": set(),
    "benchmarks.peers.warp.open_edge": set(),
    "tests.fleet.controllers.build": set(),  # a Python that is there
    "tests.fleet.controllers.pythons": set(),  # the same
    "tests.fleet.deployment.dig": {"dig"},
    "tests.fleet.deployment.visit": {"curl"},
    "tests.fleet.fleet_authority.serial": set(),
    "tests.fleet.faults.wrecks.begin_own_clock": {"faketime"},
    "tests.fleet.fleet_canary.setUp": set(),  # this Python
    "tests.fleet.fleet_document.shell": {"bash", "curl", "dig"},
    "tests.fleet.fleet_reboot.test_order": {"curl"},
    "tests.fleet.several.begin_load": set(),
    "tests.fleet.under_load.begin": set(),
    "tests.fleet.fleet_visits.test_body_goes_both_ways": {"curl"},
    "tests.fleet.fleet_visits.test_nobody_recurses": {"dig"},
    "tests.fleet.hosts._await": set(),
    "tests.fleet.hosts._start": {"setsid", "unshare", "systemd-nspawn"},
    "tests.fleet.hosts.execute": set(),
    "tests.fleet.hosts.install": set(),
    "tests.fleet.side_by_side.__init__": set(),  # trial
    "tests.system.benchmarks.peers.test_built.test_chisel": set(),
    "tests.system.benchmarks.peers.test_built.test_rathole": set(),
    "tests.system.cli.test_completion.test_fish_keeps_whole_sentences": set(),
    "tests.system.dns.peers.__init__": {"knotd", "named", "nsd"},
    "tests.system.dns.test_discovery.test_go": set(),  # what `go` built
    "tests.system.tunnel.test_yamux.start": set(),  # what `go` built
    "tests.test_ci.run_ci": {"make"},
    "tests.test_fleet_controllers.test_pythons_of_this_machine": set(),
    "tests.test_packaging._environment": set(),
    "tests.test_packaging.check": set(),
    "tests.test_packaging.test_editable": set(),
    "tests.test_packaging.test_wheel": set(),
}

# Target → the list of its packages, and the packages of modules that it runs.
TARGETS = {
    "make bench": ("benchmarks/debian-packages.txt", ("benchmarks",)),
    "make fresh": ("tests/fresh/debian-packages.txt", ("tests.fresh",)),
    "make test": ("tests/debian-packages.txt", ("tests",)),
    "make test-fleet": ("tests/fleet/debian-packages.txt", ("tests.fleet",)),
}


def packages_in(text: str) -> set[str]:
    """Return the packages that a list names."""
    return {words[0] for line in text.splitlines() if (words := line.partition("#")[0].split())}


def target_of(module: str) -> str:
    """Return the target that runs a module: the one with the longest prefix."""
    fitting = {prefix: target for target, (_, prefixes) in TARGETS.items() for prefix in prefixes}
    return fitting[max((each for each in fitting if f"{module}.".startswith(f"{each}.")), key=len)]


def lacking(programs: dict[str, str], listed: set[str]) -> list[str]:
    """
    Return a sentence for each program that no listed package brings.

    :param programs: name → the function that starts it.
    """
    sentences = []
    for program, where in sorted(programs.items()):
        if program in EVERYWHERE or program in NOWHERE:
            continue
        if program not in PACKAGES_OF:
            sentences.append(f"{where} starts {program}: add its package to PACKAGES_OF and to the target's list")
        elif listed.isdisjoint(PACKAGES_OF[program]):
            sentences.append(f"{where} starts {program}: the target's list lacks {' or '.join(PACKAGES_OF[program])}")
    return sentences


def unanswered(found: dict[str, Found]) -> list[str]:
    """Return the functions whose programs neither the source nor ANSWERS tells."""
    return sorted({where for each in found.values() for where in each.unknown} - ANSWERS.keys())


@cache
def found_in_tree() -> dict[str, Found]:
    """Read every module of tests and benchmarks, once."""
    paths = [path for top in ("tests", "benchmarks") for path in sorted((ROOT / top).rglob("*.py"))]
    return started({".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text() for path in paths})


class SampleTests(SynchronousTestCase):
    """What is found in samples of code."""

    def found(self, text: str, **others: str) -> Found:
        """Read one module, which others stand beside."""
        return started({"sample": text, **others})["sample"]

    def test_programs_are_found(self) -> None:
        """A text, a list, a path, a name, a loop over names, an own function, an imported one, a reactor's process."""
        samples = {
            "import subprocess\nsubprocess.run(['dig', name])": {"dig"},
            "import subprocess\nsubprocess.Popen(args=('curl', '-v'))": {"curl"},
            "from subprocess import run\nrun(['/usr/sbin/nft', '-c'])": {"nft"},
            "import shutil\nTOOLS = {'jq', 'ip'}\nfound = [each for each in TOOLS if shutil.which(each)]": {"jq", "ip"},
            "import os\ndef f():\n    line = ['nsd', '-d']\n    line += ['-p']\n    os.execvp(line[0], line)": {"nsd"},
            "class A:\n    def start(self, *words):\n        subprocess.run([*words])\n    def go(self):\n"
            "        self.start('go', 'build')\nimport subprocess": {"go"},
            "from other import begin\nbegin('haproxy')": {"haproxy"},
            "def f(reactor):\n    reactor.spawnProcess(protocol, 'wrk', ['wrk'])": {"wrk"},
            "import subprocess\ndef command():\n    return ['perf', 'record']\nsubprocess.run(command())": {"perf"},
        }  # fmt: skip
        other = "import subprocess\ndef begin(program, *more):\n    subprocess.run([program, *more])"
        for text, wanted in samples.items():
            found = self.found(text, other=other)
            self.assertEqual((set(found.programs), found.unknown), (wanted, set()), text)

    def test_our_own_python_is_no_program(self) -> None:
        """What runs by this Python, or stands beside it, needs no package; and a method called `run` starts nothing."""
        for text in (
            "import subprocess, sys\nsubprocess.run([sys.executable, '-m', 'twisted.trial'])",
            "import subprocess, sys\nsubprocess.run([str(Path(sys.executable).with_name('twistd'))])",
            "self.loop.run('anything')",
        ):
            found = self.found(text)
            self.assertEqual((set(found.programs), found.unknown), (set(), set()), text)

    def test_what_the_source_does_not_tell_is_said(self) -> None:
        """A program from a table or another object is reported with the function that starts it."""
        text = "import subprocess\ndef begin():\n    subprocess.run(TABLE[kind].command())"
        self.assertEqual(self.found(text).unknown, {"sample.begin"})
        self.assertEqual(unanswered({"sample": self.found(text)}), ["sample.begin"])

    def test_reached_through_imports(self) -> None:
        """A test that calls a benchmark's function needs what that function starts, and what it calls; not the rest."""
        benchmark = (
            "import subprocess\ndef one():\n    two()\ndef two():\n    subprocess.run(['wrk'])\n"
            "def three():\n    subprocess.run(['nginx'])\n"
        )
        found = started({"sample": "from benchmark import one\none()", "benchmark": benchmark})
        self.assertEqual(set(reached(found, ["sample"])), {"wrk"})

    def test_lacking(self) -> None:
        """A program without its package, or that the table does not know, is said; one of two packages is enough."""
        listed = packages_in("# comment\nbind9-dnsutils  # dig\n\nnsd\n")
        self.assertEqual(listed, {"bind9-dnsutils", "nsd"})
        programs = {"dig": "a.b", "nsd": "a.b", "sh": "a.b", "dnsperf": "a.c", "tcpdump": "a.d"}
        self.assertEqual(
            lacking(programs, listed),
            [
                "a.c starts dnsperf: the target's list lacks dnsperf",
                "a.d starts tcpdump: add its package to PACKAGES_OF and to the target's list",
            ],
        )

    def test_target_of(self) -> None:
        """The longest prefix decides."""
        for module, target in (
            ("tests.wire.test_a", "make test"),
            ("tests.fleet.hosts", "make test-fleet"),
            ("tests.fresh.tree", "make fresh"),
            ("benchmarks.dns", "make bench"),
        ):
            self.assertEqual(target_of(module), target)


class TreeTests(SynchronousTestCase):
    """The lists of this tree, held against its code."""

    def setUp(self) -> None:
        """Take what was read."""
        self.found = found_in_tree()

    def test_every_program_is_in_its_targets_list(self) -> None:
        """Whatever a target's code starts, its list of packages brings."""
        for target, (path, _) in TARGETS.items():
            programs = reached(self.found, [module for module in self.found if target_of(module) == target])
            for where, more in ANSWERS.items():
                if target_of(where) == target:
                    programs |= dict.fromkeys(more, where)
            self.assertEqual(lacking(programs, packages_in((ROOT / path).read_text())), [], f"{target}: {path}")

    def test_every_start_is_told(self) -> None:
        """Where the source does not say which program it starts, ANSWERS does, and has no answer too many."""
        self.assertEqual(unanswered(self.found), [], "add what they start to ANSWERS")
        unknown = {where for each in self.found.values() for where in each.unknown}
        self.assertEqual(sorted(ANSWERS.keys() - unknown), [], "these need no answer any more")

    def test_every_list_has_a_target(self) -> None:
        """Each list of packages in the tree is one that is compared here."""
        lists = {
            str(path.relative_to(ROOT))
            for top in ("tests", "benchmarks")
            for path in (ROOT / top).rglob("*debian-packages.txt")
        }
        self.assertEqual(lists, {path for path, _ in TARGETS.values()})

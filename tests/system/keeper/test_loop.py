"""Tests of the keeper as a process: hand-overs under visitors, deaths of every process, reloads, and the watchdog."""

import os
import resource
import select
import signal
import socket
import sys
import threading
from pathlib import Path
from time import monotonic

from twisted.trial.unittest import SynchronousTestCase

from tests.disks import SmallDisk
from tests.system.keeper.harness import SECONDS, KeeperTestCase
from warp_twisted.keeper import asking
from warp_twisted.keeper.actions import Launch
from warp_twisted.keeper.admitting import REST_SECONDS
from warp_twisted.keeper.asking import NoKeeper, RequestFailed, ask
from warp_twisted.keeper.loop import EXTENSION_SECONDS, Keeper
from warp_twisted.keeper.messages import Message
from warp_twisted.keeper.notices import read_notice
from warp_twisted.keeper.times import MAX_TAKE_SECONDS, RELEASE_SECONDS


def has_ended(descriptor: int) -> bool:
    """Wait until a process has ended, which `os.pidfd_open` names."""
    return bool(select.select([descriptor], [], [], SECONDS)[0])


def descriptors_of(pid: int) -> set[str]:
    """Return the sockets and files in memory that a process has."""
    links = {os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()}
    return {link for link in links if link.startswith(("socket:", "/memfd:"))}


def computed_seconds(pid: int) -> float:
    """Return for how long a process has computed so far."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


class HandOverTests(KeeperTestCase):
    """Hand-overs."""

    def test_systemd_waits(self) -> None:
        """While `systemctl reload` waits for a hand-over systemd is told how long that may take, with some room."""
        self.start()
        self.ready()
        self.ask("restart")
        wanted = str(int((RELEASE_SECONDS + EXTENSION_SECONDS) * 1e6))
        self.hears(lambda notice: notice.get("EXTEND_TIMEOUT_USEC") == wanted)

    def test_nobody_is_turned_away(self) -> None:
        """Visitors who come all the time are all served over two hand-overs, and one who stays is served to the end."""
        self.start()
        self.ready()
        first, stays = self.visit(hold=True)
        served: list[int] = []
        waits: list[float] = []
        enough = threading.Event()

        def come() -> None:
            while not enough.is_set():
                before = monotonic()
                who, visitor = self.visit()
                visitor.close()
                served.append(who)
                waits.append(monotonic() - before)

        visitors = threading.Thread(target=come)
        visitors.start()
        try:
            answers = [self.ask("restart"), self.ask("restart")]
        finally:
            enough.set()
            visitors.join()
        self.assertEqual([answer.word for answer in answers], ["done", "done"])
        self.assertEqual(answers[0].number("old"), first)
        self.assertEqual(len(set(served)), 3)
        status = self.ask("status")
        self.assertEqual(status.words("draining"), (str(first),))
        self.assertEqual(status.number("serving"), served[-1])
        end = os.pidfd_open(first)
        self.addCleanup(os.close, end)
        stays.close()
        self.assertTrue(has_ended(end))

    def test_successor_that_does_not_serve(self) -> None:
        """Whatever goes wrong with it, the old process serves on, and who asked is told why."""
        self.start()
        self.ready()
        first, _ = self.visit()
        for behaviour, reason in (
            ("end", "it ended with status 3, and its own lines in the log say why"),
            ("fail", "the test wants it so"),
            ("garbage", "a message that is no JSON"),
            ("end-when-taking", "it ended with status 4, and its own lines in the log say why"),
        ):
            self.behave(behaviour)
            error = self.assertRaises(RequestFailed, self.ask, "restart")
            self.assertEqual(str(error), f"the new process does not serve: {reason}. The old one serves on")
            self.assertEqual(self.visit()[0], first)

    def test_successor_that_ends_within_the_watch(self) -> None:
        """The old process, which still has a visitor, resumes."""
        self.start()
        self.ready()
        first, _ = self.visit(hold=True)
        self.behave("end-in-watch")
        error = self.assertRaises(RequestFailed, self.ask, "restart")
        self.assertEqual(str(error), "the new process ended; the old one serves on")
        self.assertEqual(self.visit()[0], first)

    def test_program_that_is_not_there(self) -> None:
        """The reason names it."""
        self.start()
        self.ready()
        error = self.assertRaises(RequestFailed, self.ask, "restart", Launch(sys.executable, ("/nowhere/twistd",)))
        self.assertIn("/nowhere/twistd: No such file or directory", str(error))

    def test_another_release(self) -> None:
        """After a hand-over to it the keeper itself goes on with its code: the same process, children and sockets."""
        link = self.directory / "python"
        link.symlink_to(sys.executable)
        keeper = self.start()
        self.ready()
        first, _ = self.visit(hold=True)
        other = Launch(str(link.absolute()), (str(link.absolute()), *self.launch.command[1:]))
        answer = self.ask("reload", other)
        self.assertEqual((answer.text("what"), answer.number("old")), ("handed over", first))
        status = self.ask("status")
        self.assertEqual(status.words("command"), other.command)
        self.assertEqual(status.words("draining"), (str(first),))
        self.assertEqual(
            Path(f"/proc/{keeper.pid}/cmdline").read_bytes().split(b"\0")[0], str(link.absolute()).encode()
        )
        self.assertEqual(self.ask("restart").word, "done")
        self.assertEqual(keeper.poll(), None)
        last, _ = self.visit()
        visitors = os.readlink(f"/proc/self/fd/{self.listener.fileno()}")
        self.assertEqual(descriptors_of(keeper.pid) & descriptors_of(last), {visitors})
        self.assertNotIn("memfd", "".join(descriptors_of(keeper.pid)))

    def test_operators_who_wait(self) -> None:
        """Who asks while the keeper has come to another release is answered, before it goes on with its code."""
        link = self.directory / "python"
        link.symlink_to(sys.executable)
        keeper = self.start()
        self.ready()
        other = Launch(str(link.absolute()), (str(link.absolute()), *self.launch.command[1:]))
        answers: list[Message] = []
        first = threading.Thread(target=lambda: answers.append(self.ask("restart", other)))
        first.start()
        self.hears(lambda notice: "EXTEND_TIMEOUT_USEC" in notice)  # it is under way
        answers.append(ask(self.control, Message("do", "restart"), lambda step: None))
        first.join(SECONDS)
        self.assertEqual([answer.text("what") for answer in answers], ["handed over", "handed over"])
        self.assertEqual(self.ask("status").words("command"), other.command)
        program = Path(f"/proc/{keeper.pid}/cmdline").read_bytes().split(b"\0")[0]
        self.assertEqual(program, str(link.absolute()).encode())

    def test_no_descriptors(self) -> None:
        """Without more of them nothing is started, the old process serves on, and the next attempt succeeds."""
        keeper = self.start()
        self.ready()
        serving, _ = self.visit()
        taken = {int(each.name) for each in Path(f"/proc/{keeper.pid}/fd").iterdir()}
        free = [number for number in range(len(taken) + 3) if number not in taken]
        before = resource.prlimit(keeper.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(keeper.pid, resource.RLIMIT_NOFILE, (free[1], before[1]))  # room for who asks
        error = self.assertRaises(RequestFailed, self.ask, "restart")
        self.assertIn("Too many open files", str(error))
        self.assertEqual(self.visit()[0], serving)
        resource.prlimit(keeper.pid, resource.RLIMIT_NOFILE, before)
        self.assertEqual(self.ask("restart").text("what"), "handed over")

    def test_no_descriptor_for_operators(self) -> None:
        """Who asks then waits, the keeper rests meanwhile and says so once, and answers as soon as it can."""
        keeper = self.start()
        self.ready()
        taken = {int(each.name) for each in Path(f"/proc/{keeper.pid}/fd").iterdir()}
        free = next(number for number in range(len(taken) + 1) if number not in taken)
        before = resource.prlimit(keeper.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(keeper.pid, resource.RLIMIT_NOFILE, (free, before[1]))
        answers: list[Message] = []
        self.patch(asking, "STATUS_SECONDS", SECONDS)
        thread = threading.Thread(target=lambda: answers.append(ask(self.control, Message("do", "status"), print)))
        thread.start()
        self.until(lambda: "nobody can ask now" in self.log())
        began = computed_seconds(keeper.pid)
        thread.join(3 * REST_SECONDS)  # nobody answers yet
        self.assertLess(computed_seconds(keeper.pid) - began, 0.5)
        self.assertEqual((answers, self.log().count("nobody can ask now")), ([], 1))
        resource.prlimit(keeper.pid, resource.RLIMIT_NOFILE, before)
        thread.join(SECONDS)
        self.assertEqual([answer.word for answer in answers], ["status"])

    def test_another_mark(self) -> None:
        """What else a process starts with is part of what it is: at a reload with another, a new process takes over."""
        self.start()
        self.ready()
        first, _ = self.visit()
        other = Launch(self.launch.python, self.launch.command, "another key")
        self.assertEqual(self.ask("reload", other).text("what"), "handed over")
        self.assertNotEqual(self.visit()[0], first)
        self.assertEqual(self.ask("reload", other).text("what"), "reloaded")

    def test_release_whose_keeper_does_not_go_on(self) -> None:
        """The keeper stays what it is, says why, and keeps the new process."""
        keeper = self.start()
        self.ready()
        self.ask("restart", Launch("/bin/false", self.launch.command))
        self.assertEqual(self.ask("status").number("serving"), self.visit()[0])
        self.assertIn("as /bin/false does not go on: status 1", self.log())
        self.assertEqual(keeper.poll(), None)


class EventTests(SynchronousTestCase):
    """What one look at the descriptors has found."""

    def test_descriptor_that_another_has_now(self) -> None:
        """What an event has ended is not called, nor is who got its descriptor meanwhile."""
        keeper = Keeper(Launch("python", ("twistd",)), "", {}, lambda launch, is_check: [], lambda level, line: None)
        first, second, third = socket.socketpair(), socket.socketpair(), socket.socketpair()
        for each in (*first, *second, *third):
            self.addCleanup(each.close)
        called: list[str] = []

        def first_is_heard() -> None:
            called.append("first")
            keeper._unwatch(second[0].fileno())
            os.dup2(third[0].fileno(), second[0].fileno())
            keeper._watch(second[0].fileno(), lambda: called.append("third"))

        keeper._watch(first[0].fileno(), first_is_heard)
        keeper._watch(second[0].fileno(), lambda: called.append("second"))
        first[1].send(b"1")
        second[1].send(b"1")
        events = sorted(keeper._selector.select(), key=lambda event: event[0].fd != first[0].fileno())
        self.assertEqual(len(events), 2)
        keeper._take_events(events)
        self.assertEqual(called, ["first"])

    def test_more_time(self) -> None:
        """A process that takes has the time that it asks for, up to a limit, and systemd waits as long."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind("")
            address = "@" + systemd.getsockname()[1:].decode()
            environment = {"NOTIFY_SOCKET": address}
            launch = Launch("python", ("twistd",))
            keeper = Keeper(launch, "", environment, lambda launch, is_check: [], lambda level, line: None)
            keeper._wait(30.0)
            began_at = keeper._phase_began_at
            seen = []
            for wanted in (10, 400, 5_000):
                keeper._wait_longer(str(wanted * 1_000_000), began_at + 1)
                seen.append(round((keeper._phase_until or 0) - began_at))
            self.assertEqual(seen, [30, 401, MAX_TAKE_SECONDS])
            asked = [int(read_notice(systemd.recv(1000))["EXTEND_TIMEOUT_USEC"]) / 1e6 for _ in range(4)]
            self.assertEqual([round(each) for each in asked], [50, 49, 420, 619])


class EndTests(KeeperTestCase):
    """Deaths."""

    def test_serving_process_is_killed(self) -> None:
        """Another serves at once, and visitors who came in between were not refused."""
        self.start()
        self.ready()
        first, _ = self.visit()
        os.kill(first, signal.SIGKILL)
        self.assertNotEqual(self.visit()[0], first)

    def test_keeper_is_killed(self) -> None:
        """Its processes end with it."""
        keeper = self.start()
        self.ready()
        end = os.pidfd_open(self.visit()[0])
        self.addCleanup(os.close, end)
        keeper.kill()
        self.assertTrue(has_ended(end))

    def test_serving_process_that_stands_still(self) -> None:
        """It is killed and replaced after half of systemd's time, which hears signs of life all along."""
        self.start(watchdog_seconds=8)
        self.ready()
        first, _ = self.visit()
        os.kill(first, signal.SIGSTOP)
        self.assertNotEqual(self.visit()[0], first)
        self.assertIn("gave no sign of life", self.log())
        self.hears(lambda notice: "WATCHDOG" in notice)

    def test_full_disk(self) -> None:
        """Without room for its sockets the keeper keeps the service all the same, and says that nobody can ask."""
        mounted = self.directory / "run"
        mounted.mkdir()
        disk = SmallDisk(mounted)
        self.addCleanup(disk.unmount)
        disk.make_read_only()
        self.control = str(mounted / "keeper.sock")
        self.start()
        self.ready()
        self.visit()
        self.assertIn("nobody can ask for a hand-over", self.log())
        self.assertRaises(NoKeeper, self.ask, "status")

    def test_failed_start(self) -> None:
        """The keeper ends with status 1 when the first process does not serve."""
        self.behave("end")
        self.assertEqual(self.start().wait(SECONDS), 1)

    def test_what_systemd_shows(self) -> None:
        """The status says who serves and what old processes have left; a stop that takes its time is waited for."""
        self.behave("slow-stop")
        keeper = self.start()
        self.ready()
        _, stays = self.visit(hold=True)
        self.assertEqual(self.ask("restart").text("what"), "handed over")
        left = "serving as slow-stop; an old process finishes 1 WebSockets"
        self.hears(lambda notice: notice.get("STATUS") == left)
        _, other = self.visit(hold=True)
        keeper.send_signal(signal.SIGTERM)
        for _ in range(2):  # of both processes
            self.hears(lambda notice: notice.get("EXTEND_TIMEOUT_USEC") == "900000000")
        self.assertEqual(keeper.poll(), None)
        stays.close()
        other.close()
        self.assertEqual(keeper.wait(SECONDS), 0)

    def test_stop(self) -> None:
        """SIGTERM ends everything, and systemd is told."""
        keeper = self.start()
        self.ready()
        self.assertEqual(self.stop(keeper), 0)
        self.hears(lambda notice: notice.get("STOPPING") == "1")


class ReloadTests(KeeperTestCase):
    """SIGHUP, and what a reload by request says."""

    def test_reload(self) -> None:
        """The process reads its configuration again; who asked hears how it went."""
        self.start()
        self.ready()
        first, _ = self.visit()
        self.assertEqual(self.ask("reload", self.launch).text("what"), "reloaded")
        self.behave("refused")
        error = self.assertRaises(RequestFailed, self.ask, "reload")
        self.assertEqual(str(error), "the configuration is refused, the old one stays: zone: expected a name")
        self.assertEqual(self.visit()[0], first)

    def test_keys_that_need_a_new_process(self) -> None:
        """It is started and takes over; the steps are told."""
        self.start()
        self.ready()
        first, _ = self.visit()
        self.behave("later")
        self.assertEqual(self.ask("reload").text("what"), "handed over")
        self.assertEqual(self.steps[:2], ["a new process is needed for listen, zone", "a new process prepares"])
        self.assertNotEqual(self.visit()[0], first)

    def test_signal(self) -> None:
        """SIGHUP, which nobody waits for, does the same as a request."""
        keeper = self.start()
        self.ready()
        self.behave("later")
        keeper.send_signal(signal.SIGHUP)
        self.hears(lambda notice: notice.get("STATUS", "").startswith("serving as later"))

    def test_process_that_knows_nothing_of_it(self) -> None:
        """It serves and reloads as without a keeper; before another starts it ends, and visitors wait."""
        self.behave("plain")
        self.start()
        self.ready()
        self.assertEqual(self.ask("reload").text("what"), "plainly again")
        first, _ = self.visit()
        self.assertEqual(self.ask("restart").text("what"), "a new process serves")
        self.assertNotEqual(self.visit()[0], first)

    def test_strangers(self) -> None:
        """What is no request is answered with a reason, too many connections are closed, and the keeper goes on."""
        self.start()
        self.ready()
        lines = []
        for _ in range(20):
            line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.addCleanup(line.close)
            line.settimeout(SECONDS)
            line.connect(self.control)
            lines.append(line)
        self.assertEqual(lines[-1].recv(100), b"")
        lines[0].send(b"nonsense")
        self.assertIn(b"a message that is no JSON", lines[0].recv(1000))
        for line in lines:
            line.close()
        self.assertEqual(self.ask("status").text("phase"), "serving")

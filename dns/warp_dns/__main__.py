"""
A worker process of the DNS server; `workers` starts it, with its socket and its orders on inherited descriptors.

Run by hand, it says what to run instead.
"""

import socket
import sys

from twisted.logger import globalLogBeginner

from warp_base.loop.collector import spare_old_objects
from warp_base.loop.event_loop import watch
from warp_base.loop.turn_times import TurnTimes
from warp_base.machine_time import MACHINE_WALL_CLOCK, use_monotonic_time
from warp_base.nonblocking_writer import stream_sink
from warp_base.reactor import as_reactor
from warp_dns.program.log_lines import LogLines, as_text
from warp_dns.program.worker import Worker
from warp_dns.serve.replica import SOCKET_DESCRIPTOR


def main() -> None:
    """Run a worker until its parent is gone."""
    from twisted.internet import reactor as installed

    reactor = as_reactor(installed)
    try:
        sock = socket.socket(fileno=SOCKET_DESCRIPTOR)
    except OSError:
        sys.exit("this starts a worker process of the DNS server; run `twistd warp-dns` instead")
    sock.setblocking(False)
    globalLogBeginner.beginLoggingTo([LogLines(stream_sink(sys.stderr), as_text)], redirectStandardIO=False)
    use_monotonic_time(reactor)
    watch(reactor, TurnTimes())  # for its log line: what a worker counts is told by its parent
    spare_old_objects(reactor)
    reactor.addReader(Worker(reactor, sock, MACHINE_WALL_CLOCK))
    reactor.run()


if __name__ == "__main__":
    main()

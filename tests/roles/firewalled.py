"""
A program for a network namespace of its own: the firewall's helper, and visitors whose source addresses one chooses.

Its arguments are the path of the socket at which the helper is to listen, and the port of visitors. It listens on that
port and on the next one, and for each line `ADDRESS PORT` of standard input says `open` or `silent`: what a visitor
from there meets. `rules` shows the rules, `flush` takes all of them out.
"""

import ipaddress
import socket
import subprocess
import sys
import threading
from pathlib import Path

SOURCES = ("203.0.113.7", "203.0.113.8", "2001:db8:1::7", "2001:db8:1::8", "2001:db8:2::7")
HERE = {4: "192.0.2.1", 6: "2001:db8::1"}


def answer(line: str) -> str:
    """Return what is to be said to a line."""
    if line == "flush":
        subprocess.run(["/usr/sbin/nft", "flush", "ruleset"], check=True)
        return "flushed"
    if line == "rules":
        shown = subprocess.run(["/usr/sbin/nft", "list", "ruleset"], capture_output=True, text=True, check=True)
        return " ".join(shown.stdout.split())
    address, port = line.split()
    to = HERE[ipaddress.ip_address(address).version]
    try:
        with socket.create_connection((to, int(port)), timeout=0.3, source_address=(address, 0)):
            return "open"
    except TimeoutError:
        return "silent"


def accept(listening: socket.socket) -> None:
    """Accept and hang up for ever."""
    while True:
        listening.accept()[0].close()


def main() -> None:
    """Set the namespace up, and answer."""
    path, port = sys.argv[1], int(sys.argv[2])
    for text in ("link set lo up", *(f"addr add {each} dev lo" for each in (*SOURCES, *HERE.values()))):
        subprocess.run(["/sbin/ip", *text.split()], check=True)
    for each in (port, port + 1):
        served = socket.create_server(("::", each), family=socket.AF_INET6, dualstack_ipv6=True)
        threading.Thread(target=accept, args=(served,), daemon=True).start()
    program = Path(__file__).parents[2] / "roles/warp_firewall/files/warp_firewall_bans.py"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        number = listening.fileno()
        hand = f'exec "$@" 3<&{number}'  # as systemd hands it
        command = ["/bin/sh", "-c", hand, "sh", sys.executable, "-I", str(program), str(port)]
        helper = subprocess.Popen(command, pass_fds=[number])
    print("ready", flush=True)
    for line in sys.stdin:
        print(answer(line.strip()), flush=True)
    helper.kill()
    helper.wait()


if __name__ == "__main__":
    main()

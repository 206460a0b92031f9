"""`warp demo`: its options; what it runs is `demo.hello`."""

import click


@click.command(
    short_help="Run a whole fleet in one process, to try Warp out.",
    epilog="\b\nExamples:\n  warp demo\n  warp demo --check\n  warp up http://localhost:3000     # in another terminal",
)
@click.option("--check", is_flag=True, help="Drive the whole path once, print a line for each step, and end: 0 or 1.")
def demo(check: bool) -> int:
    """
    Run a whole fleet in one process, to try Warp out.

    A certificate authority, an edge, its DNS server, an agent and a small application, all on loopback: zone
    warp.localhost, HTTP on 8080, HTTPS on 8443, DNS on 5300, tunnels on 7844, or other ports where these are taken.
    State is in a temporary directory. While it runs, `warp up ORIGIN` in another terminal joins it without further
    options, and so do `warp status`, `warp token` and `warp agent`. Ctrl-C leaves nothing behind.
    """
    # Twisted is slow to import; `warp demo --help` does not need it.
    from twisted.internet import reactor as installed

    from warp_base.reactor import as_reactor
    from warp_twisted.demo.hello import HelloDemo
    from warp_twisted.process import prepare

    reactor = as_reactor(installed)
    prepare(reactor)
    return HelloDemo(reactor, is_check=check).run()

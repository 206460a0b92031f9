"""`warp demo`: its options; what it runs is `demo.hello`, or with `--canary` `demo.canary`."""

import click

from warp_twisted.cli.output import JSON_OPTION


@click.command(
    short_help="Run a whole fleet in one process, to try Warp out.",
    epilog="\b\nExamples:\n  warp demo\n  warp demo --check\n  warp demo --canary\n  warp demo --canary --worse\n"
    "  warp demo --canary --json | jq 'select(.event == \"sample\").shares'\n"
    "  warp up http://localhost:3000     # in another terminal",
)
@click.option("--canary", is_flag=True, help="Shift visitors from one release of an application to the next.")
@click.option("--worse", is_flag=True, help="With --canary: it begins to fail on the way, and its guard takes it back.")
@click.option("--check", is_flag=True, help="Drive the whole path once, print a line for each step, and end: 0 or 1.")
@JSON_OPTION
def demo(canary: bool, worse: bool, check: bool, as_json: bool) -> int:
    """
    Run a whole fleet in one process, to try Warp out.

    A certificate authority, an edge, its DNS server, an agent and a small application, all on loopback: zone
    warp.localhost, HTTP on 8080, HTTPS on 8443, DNS on 5300, tunnels on 7844, or other ports where these are taken.
    State is in a temporary directory. While it runs, `warp up ORIGIN` in another terminal joins it without further
    options, and so do `warp status`, `warp token` and `warp agent`. Ctrl-C leaves nothing behind.

    With --canary there are two releases of an application at app.warp.localhost, and visitors. 10 % of them get the new
    one, then 25, 50 and 100 %, as long as its guard finds it as good as the other. A bar shows what was asked for and
    what was sent; --json prints both, for machines.
    """
    for option, is_given in (("--worse", worse), ("--json", as_json)):
        if is_given and not canary:
            raise click.UsageError(f"{option} goes with --canary")
    if check and as_json:
        raise click.UsageError("--check prints lines; leave out --json")
    # Twisted is slow to import; `warp demo --help` does not need it.
    from twisted.internet import reactor as installed

    from warp_base.reactor import as_reactor
    from warp_twisted.demo.canary.demo import CanaryDemo
    from warp_twisted.demo.hello import HelloDemo
    from warp_twisted.process import prepare

    reactor = as_reactor(installed)
    prepare(reactor)
    if canary:
        return CanaryDemo(reactor, is_check=check, is_worse=worse, is_json=as_json).run()
    return HelloDemo(reactor, is_check=check).run()

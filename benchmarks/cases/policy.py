"""
What a policy costs a request at the edge: 200 rules over 50 hostnames, 200,000 prefixes, tokens and a limit.

One edge serves all loads in turns; between them it reloads another policy, so that nothing but the policy differs.
Every request carries a token, also where nobody asks for one.
"""

from __future__ import annotations

import dataclasses
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml
from joserfc import jwt
from joserfc.jwk import ECKey

from benchmarks.bench import Bench
from benchmarks.cases.requests import put_load
from benchmarks.peers.peer import OTHER_HOSTNAME, WEB_HOSTNAME, Peer
from benchmarks.peers.warp import ZONE, Edge
from benchmarks.rounds import Measured, in_rounds
from benchmarks.targets import NO_POLICY, OTHERS_POLICY, WHOLE_POLICY, WITH_ASSERTION

RULES = 200
HOSTNAMES = 50
PREFIXES = 200_000
TOKENS = 100
_CONNECTIONS = 128
_ISSUER, _AUDIENCE = "https://login.example", "web"
_TOKEN_SECONDS = 3600
_WARMING_SECONDS = 1.0
_ROUNDS_IN_ONE = 3  # its differences are small


def sample_policy(*, asserted: bool) -> str:
    """
    Write the policy: what holds for all of 50 hostnames, and 199 rules for parts of them.

    :param asserted: whether the origin is told who the visitor is, in a signed assertion.
    """
    hostnames = [WEB_HOSTNAME, *(f"app-{number}.{ZONE}" for number in range(1, HOSTNAMES))]
    everywhere: dict[str, object] = {
        "name": "everywhere",
        "match": {"hostname": hostnames},
        "sources": {"deny": [{"file": "prefixes.txt", "format": "prefixes"}]},
        "limits": [{"name": "requests", "rate": "1000000/s", "burst": 1_000_000}],
        "authenticate": {
            "any_of": [{"jwt": {"jwks_file": "keys.json", "issuer": _ISSUER, "audience": _AUDIENCE}}],
            "assertion": asserted,
        },
    }
    rules = [everywhere]
    for number in range(RULES - 1):
        path = "/varied/*" if number == 0 else f"/area-{number}/*"
        rules.append(
            {
                "name": f"area-{number}",
                "match": {"hostname": hostnames[number % HOSTNAMES], "path": path},
                "routes": [f"GET {path}", f"POST /area-{number}/orders"],
            }
        )
    return yaml.safe_dump({"rules": rules})


def sample_prefixes() -> Iterator[str]:
    """Yield prefixes, the same each time, of which none has a visitor of this machine."""
    choose = random.Random(1)
    for _ in range(PREFIXES):
        first = choose.randrange(128, 224) << 24 | choose.randrange(1 << 16) << 8
        yield f"{first >> 24}.{first >> 16 & 255}.{first >> 8 & 255}.0/{choose.choice((24, 32))}"


def write_files(directory: Path) -> None:
    """Write what the policies name, and tokens that they accept."""
    (directory / "prefixes.txt").write_text("\n".join(sample_prefixes()))
    key = ECKey.generate_key("P-256", {"kid": "bench"})
    (directory / "keys.json").write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    end = int(time.time()) + _TOKEN_SECONDS
    claims = ({"iss": _ISSUER, "aud": _AUDIENCE, "exp": end, "sub": f"user-{number}"} for number in range(TOKENS))
    tokens = [jwt.encode({"alg": "ES256", "kid": "bench"}, each, key) for each in claims]
    (directory / "tokens.txt").write_text("\n".join(tokens) + "\n")
    (directory / "whole.yaml").write_text(sample_policy(asserted=False))
    (directory / "asserted.yaml").write_text(sample_policy(asserted=True))


def measure(bench: Bench) -> None:
    """Put the same load on one edge of each tree of Warp that is wanted, with different policies in force."""
    files = Path(tempfile.mkdtemp(dir=bench.directory))
    write_files(files)
    for edge, peer, _ in bench.each_warp():
        loads = {
            NO_POLICY: _under(bench, edge, files, None),
            OTHERS_POLICY: _under(bench, edge, files, "whole.yaml", OTHER_HOSTNAME),
            WHOLE_POLICY: _under(bench, edge, files, "whole.yaml"),
            WITH_ASSERTION: _under(bench, edge, files, "asserted.yaml"),
        }
        in_rounds(bench, "policy", [peer], loads, _ROUNDS_IN_ONE * bench.scale.rounds)


def _under(
    bench: Bench, edge: Edge, files: Path, policy: str | None, hostname: str = WEB_HOSTNAME
) -> Callable[[Peer], Measured]:
    """Prepare a load under one policy; before it is measured every token has been verified once."""
    tokens = files / "tokens.txt"

    def load(peer: Peer) -> Measured:
        edge.follow_policy(files / policy if policy is not None else None)
        asked = dataclasses.replace(peer, web=dataclasses.replace(peer.web, hostname=hostname))
        put_load(bench, asked, _CONNECTIONS, is_varied=True, tokens=tokens, seconds=_WARMING_SECONDS)
        return put_load(bench, asked, _CONNECTIONS, is_varied=True, tokens=tokens)

    return load

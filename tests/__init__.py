"""
Tests, room by room: `tests/<room>/test_<module>.py` mirrors the code, `tests/system/` opens sockets.

`tests/fleet/` boots hosts. Code and tests must come from one place: with a wheel installed, a run from the
checkout's root would test the checkout's `warp_twisted` beside the installed `warp_dns`. Nothing good can be
read from that, so it is refused.
"""

import importlib.util
from pathlib import Path


def _origin(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"{package} is not importable; run `make test`, or see CONTRIBUTING.md for the PYTHONPATH")
    # `py.typed` is a file in every install mode, also in the link tree of an editable install.
    return (Path(next(iter(spec.submodule_search_locations))) / "py.typed").resolve().parent


def check_origins(warp_twisted: Path, warp_dns: Path) -> None:
    """
    Refuse to run when one package comes from a checkout and the other from somewhere else.

    :raises ImportError: naming both places.
    """
    in_checkout = warp_twisted.parent / "dns" / "warp_dns"
    installed = warp_twisted.parent / "warp_dns"
    if warp_dns not in (in_checkout, installed):
        raise ImportError(
            f"warp_twisted comes from {warp_twisted}, warp_dns from {warp_dns}: run `make test`, "
            "or copy tests/ out of the checkout to test an installed wheel"
        )


check_origins(_origin("warp_twisted"), _origin("warp_dns"))

if importlib.util.find_spec("hypothesis"):  # `tests.fresh` runs with any Python
    from hypothesis import settings

    # How long an example takes is the machine's business; what a piece of work may cost is measured where it matters.
    settings.register_profile("warp", deadline=None)
    settings.load_profile("warp")

"""
Asking the members of etcd whether they serve, before an edge starts: for `--check`, which has no reactor to wait with.
"""

import json
import ssl
from concurrent.futures import ThreadPoolExecutor
from urllib.error import URLError
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

from warp_twisted.edge.stores.settings import EtcdSettings

ASK_SECONDS = 2.0
MAX_ANSWER_BYTES = 65536


def ask_members(settings: EtcdSettings, seconds: float = ASK_SECONDS) -> list[str]:
    """
    Ask all members at the same time.

    :returns: a sentence for each that does not serve, and which of them is to be repaired first if none does.
    """
    with ThreadPoolExecutor(len(settings.endpoints)) as threads:
        answers = list(threads.map(lambda url: _ask(settings, url, seconds), settings.endpoints))
    complaints = [f"registry.etcd: {url}: {why}" for url, why in zip(settings.endpoints, answers, strict=True) if why]
    if len(complaints) == len(answers):
        complaints.append(
            "registry.etcd: no member of etcd serves; an edge that starts now knows only what its copy in state holds"
        )
    return complaints


def _ask(settings: EtcdSettings, url: str, seconds: float) -> str:
    """Return why a member does not serve; empty if it does."""
    try:
        handlers: list[ProxyHandler | HTTPSHandler] = [ProxyHandler({})]
        if settings.ca is not None and settings.certificate is not None:
            context = ssl.create_default_context(cafile=settings.ca)
            context.load_cert_chain(settings.certificate, settings.key)
            handlers.append(HTTPSHandler(context=context))
        with build_opener(*handlers).open(url + "/health", timeout=seconds) as answer:
            said = json.loads(answer.read(MAX_ANSWER_BYTES))
    except URLError as error:
        return str(getattr(error, "reason", error))
    except (OSError, ValueError) as error:
        return str(error)
    is_healthy = isinstance(said, dict) and said.get("health") == "true"
    return "" if is_healthy else "it answers, but takes no changes: it has no leader, or is out of space"

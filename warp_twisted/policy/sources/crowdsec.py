"""
Decisions of CrowdSec, as its API and its command write them: whose addresses they ban.

Pure: text in, prefixes out.
"""

import json


class DecisionsError(ValueError):
    """A text is not CrowdSec's decisions; it says what was expected."""


def crowdsec_prefixes(text: str) -> list[str]:
    """
    Read CrowdSec's decisions: the JSON of `cscli decisions list -o json`, or of its API.

    :returns: the addresses and ranges that are banned; decisions of other kinds are left out.
    :raises DecisionsError: it is something else.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise DecisionsError("expected CrowdSec's decisions as JSON") from None
    if isinstance(document, dict):
        document = document.get("new")  # a stream of the API: what is new, beside what is deleted
    if not isinstance(document, list | None):
        raise DecisionsError("expected CrowdSec's decisions as JSON")
    found = []
    for alert in document or []:
        decisions = alert.get("decisions", [alert]) if isinstance(alert, dict) else None
        if not isinstance(decisions, list):
            raise DecisionsError("expected CrowdSec's decisions as JSON")
        found += [
            str(each["value"])
            for each in decisions
            if isinstance(each, dict)
            and str(each.get("scope", "")).lower() in ("ip", "range")
            and each.get("type") == "ban"
            and "value" in each
        ]
    return found

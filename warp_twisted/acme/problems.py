"""
What an authority's problem documents mean to an operator: a sentence for each kind, with what to do. Pure.

Kinds are the problem types of RFC 8555, 6.7, and of RFC 9773, without their prefix.
"""

PREFIX = "urn:ietf:params:acme:error:"
MAX_DETAIL_CHARACTERS = 500

_ADVICE = {
    "accountDoesNotExist": "the account is registered anew",
    "badCSR": "look at the names that are wanted, and at acme.profile",
    "caa": "let the zone's CAA records, and those above it, allow this authority",
    "connection": "let the authority reach port 80 of the name's addresses",
    "dns": "let the zone be delegated to the name servers of docs/deploy.md, and let the authority reach them",
    "externalAccountRequired": "set acme.eab to what the authority gave you",
    "incorrectResponse": "let all name servers of the zone answer the same, and no other program publish the name",
    "invalidContact": "set acme.email to an address that exists",
    "invalidProfile": "set acme.profile to one that the authority has",
    "rateLimited": "nothing is to be done: it is tried again when the authority allows it",
    "rejectedIdentifier": "the authority issues no certificate for the name",
    "tls": "let the authority reach the name's addresses",
    "unauthorized": "let all name servers of the zone answer the same, and see that the name is yours",
    "unsupportedContact": "set acme.email to another address",
    "unsupportedIdentifier": "the authority issues no certificate for the name",
    "userActionRequired": "agree to the authority's new terms: open the page that it names",
}


def kind_of(problem: str) -> str:
    """Return a problem's kind, or an empty text if the type is not ACME's."""
    return problem.removeprefix(PREFIX) if problem.startswith(PREFIX) else ""


def sentence(kind: str, detail: str) -> str:
    """
    Return what happened and what to do.

    :param detail: the authority's own words; control characters are left out, and what is too long.
    """
    said = "".join(character for character in detail[:MAX_DETAIL_CHARACTERS] if character.isprintable())
    text = f"the authority refuses: {said or 'it does not say why'}{f' ({kind[:50]})' if kind else ''}"
    advice = _ADVICE.get(kind, "")
    return f"{text}; {advice}" if advice else text

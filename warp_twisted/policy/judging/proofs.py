"""What a rule asks visitors to prove: checks joined by any_of and all_of, and what they come to for a request."""

from collections.abc import Mapping, Sequence
from enum import Enum

import msgspec

from warp_twisted.policy.facts import Facts
from warp_twisted.policy.interfaces import Answer, Check, Identity, Outcome, Question

Answers = Mapping[Question, Answer]
Looked = tuple[Check, Answer | Question | Exception]  # a check, and what it said of a request or raised


class Finding(Enum):
    """What a proof came to; of several the worst counts, in the order in which they stand here."""

    FAILED = "a check failed"
    REFUSED = "a credential is not accepted"
    ABSENT = "no credential"
    BUSY = "a check is busy"
    OPEN = "a question is to be answered"
    PROVEN = "proven"


# Names of this module are found much faster than members of an Enum.
_PROVEN, _OPEN, _ABSENT = Finding.PROVEN, Finding.OPEN, Finding.ABSENT
_IS_PROVEN, _IS_BUSY, _IS_ABSENT = Outcome.PROVEN, Outcome.BUSY, Outcome.ABSENT


class Inquiry(msgspec.Struct):
    """
    One look at a request: what is asked and what came out besides the finding.

    :ivar looked: what one of the checks has said already.
    :ivar identities: of what is proven.
    :ivar details: for logs: why credentials are not accepted.
    """

    facts: Facts
    now: float
    wall: float
    answers: Answers
    looked: Looked | None = None
    questions: list[Question] = []
    identities: list[Identity] = []
    carriers: list[bytes] = []
    errors: list[Exception] = []
    details: list[str] = []


class OneCheck:
    """One check."""

    def __init__(self, check: Check) -> None:
        self._check = check

    @property
    def checks(self) -> tuple[Check, ...]:
        """All checks within."""
        return (self._check,)

    def look(self, inquiry: Inquiry) -> Finding:
        """Look at a request. An error is a finding: it denies, and is logged by whoever has the log."""
        try:
            found = self._found(inquiry)
        except Exception as error:
            inquiry.errors.append(error)
            inquiry.details.append(f"{self._check.kind} failed")
            return Finding.FAILED
        if isinstance(found, Question):
            answer = inquiry.answers.get(found)
            if answer is None:
                inquiry.questions.append(found)
                return _OPEN
            found = answer
        if found.outcome is _IS_PROVEN and found.identity is not None:
            inquiry.identities.append(found.identity)
            inquiry.carriers += self._check.carriers
            return _PROVEN
        if found.outcome is _IS_BUSY:
            if found.reason:
                inquiry.details.append(f"{self._check.kind}: {found.reason}")
            return Finding.BUSY
        if found.outcome is _IS_ABSENT:
            return _ABSENT
        inquiry.details.append(f"{self._check.kind}: {found.reason or 'not accepted'}")
        return Finding.REFUSED

    def _found(self, inquiry: Inquiry) -> Answer | Question:
        """Return what the check says."""
        looked = inquiry.looked
        if looked is None or looked[0] is not self._check:
            return self._check.look(inquiry.facts, inquiry.now, inquiry.wall)
        found = looked[1]
        if isinstance(found, Exception):
            raise found
        return found


class Several:
    """Checks of which one is enough, or all are needed. Without any nothing is proven."""

    def __init__(self, members: "Sequence[OneCheck | Several]", *, needs_all: bool) -> None:
        self._members = tuple(members)
        self._needs_all = needs_all

    @property
    def checks(self) -> tuple[Check, ...]:
        """All checks within."""
        return tuple(check for member in self._members for check in member.checks)

    def look(self, inquiry: Inquiry) -> Finding:
        """Look at a request; questions are asked only where nothing else decides."""
        if len(self._members) == 1:  # most rules ask for one proof, and either way of joining comes to what it says
            return self._members[0].look(inquiry)
        questions, identities, carriers = len(inquiry.questions), len(inquiry.identities), len(inquiry.carriers)
        found: set[Finding] = set()
        for member in self._members:
            finding = member.look(inquiry)
            found.add(finding)
            if (finding is _PROVEN) != self._needs_all and finding is not _OPEN:
                break
        if not found:
            return _ABSENT
        if self._needs_all:
            finding = next(each for each in Finding if each in found)
        else:
            # One that is open may still prove it.
            best = (_PROVEN, _OPEN, Finding.FAILED, Finding.BUSY, Finding.REFUSED, _ABSENT)
            finding = next(each for each in best if each in found)
        if finding is not _OPEN:
            del inquiry.questions[questions:]
        if finding is not _PROVEN:
            del inquiry.identities[identities:]
            del inquiry.carriers[carriers:]
        return finding

"""
The issuing process's work: look at what is due, do it, and have the edge keep what came of it.

`schedule` says what is due, `orders` what the next step is and what is kept; this asks the edge and the authority, one
step after the other. It has no state but open connections: whenever it is killed, the next one reads where things are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec.structs import replace
from twisted.logger import Logger

from warp_base.wall_clock import WallClock
from warp_twisted.acme import orders
from warp_twisted.acme.authority import OrderState
from warp_twisted.acme.certificates import certificate_request, leaf_of, load_key, new_key, read_chain
from warp_twisted.acme.directories import directory_url
from warp_twisted.acme.door import Account, Certificate, Door, ExternalAccount, Order, Settings, View
from warp_twisted.acme.errors import (
    AcmeError,
    AuthorityAway,
    AuthorityFailed,
    CannotOrder,
    DoorRefused,
    EdgeGone,
    LockLost,
    NotYet,
)
from warp_twisted.acme.orders import Action
from warp_twisted.acme.proving import Names, Proving, poll_seconds
from warp_twisted.acme.schedule import Task, What, asked, renewal_without_window, tasks, wait_seconds

LOCK_SECONDS = 180.0  # longer than any step that is taken without asking for it again
LOCKED_SECONDS = 20.0  # before it is looked again whether another edge still orders
AWAY_SECONDS = 60.0  # after the authority was not reached
ASK_AGAIN_SECONDS = 3600.0  # when to renew, after the authority did not say
_PASSING = ("rateLimited", "orderNotReady")  # problems that do not end an order that the authority has
ISSUE_SECONDS = 180.0  # for the authority to issue what was proved, before the order is put off


class Asked(Names, Protocol):
    """What is asked of the authority; see `authority.Authority`."""

    @property
    def issuers(self) -> tuple[str, ...]:
        """The names that the authority takes in CAA records."""

    def close(self) -> None:
        """Close the connections."""

    def register(self, email: str, external: ExternalAccount | None) -> str:
        """Register the key; return the account's URL."""

    def order(self, names: tuple[str, ...], profile: str, replaces: str) -> str:
        """Order a certificate; return the order's URL."""

    def order_state(self, url: str) -> OrderState:
        """Return what the authority says of an order."""

    def finalize(self, url: str, request: x509.CertificateSigningRequest) -> OrderState:
        """Send the request for the certificate."""

    def certificate(self, url: str) -> str:
        """Fetch the chain."""

    def renewal_window(self, certificate: str) -> tuple[tuple[float, float] | None, float]:
        """Ask when a certificate is to be renewed."""

    def revoke(self, certificate: x509.Certificate) -> None:
        """Revoke a certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """
    What the work is done with.

    :ivar open_sealed: opens what the edge has sealed, given which record it is about; raises ValueError if it cannot.
    :ivar connect: opens an authority: the URL of its directory, `Settings.root`, the account's key and URL.
    :ivar pause: waits for so many seconds; raises `EdgeGone` when the edge has ended.
    :ivar draw: 0 to 1, by chance.
    """

    door: Door
    proving: Proving
    open_sealed: Callable[[str, str], str]
    connect: Callable[[str, str, ec.EllipticCurvePrivateKey, str], Asked]
    wall: WallClock
    pause: Callable[[float], None]
    draw: Callable[[], float]


class Issuing:
    """Looks at what is due, and does it."""

    _log = Logger()

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._door = tools.door

    def look(self) -> float:
        """
        Do what is due, one task after the other.

        :returns: in how many seconds to look again.
        :raises DoorRefused: if the edge is away; what was kept holds.
        :raises InvalidSettings: if the settings name no authority.
        """
        view = self._door.view()
        directory = directory_url(view.settings.directory)
        done: set[tuple[What, str]] = set()
        while tasks(view, directory, self._tools.wall.now()):
            if not self._door.lock(view.edge, LOCK_SECONDS):
                return LOCKED_SECONDS
            view = self._door.view()  # another edge may have done it before we had the lock
            task = next(iter(tasks(view, directory, self._tools.wall.now())), None)
            if task is None:
                break
            if (key := (task.what, task.order.name)) in done:
                return orders.AGAIN_SECONDS  # whatever the records say, nothing is done twice in one go
            done.add(key)
            try:
                if not self._do(view, directory, task):
                    return AWAY_SECONDS
            except LockLost:
                return LOCKED_SECONDS
            view = self._door.view()
        return wait_seconds(view, directory, self._tools.wall.now())

    def _do(self, view: View, directory: str, task: Task) -> bool:
        """Do a task, and keep what came of it; return whether the authority is there."""
        work = _Work(self._tools, view, directory, task)
        try:
            work.do()
        except NotYet as error:
            self._log.warn("the certificate of {name} waits: {error}", name=task.names[0], error=str(error))
            work.keep(orders.again_later(work.order, str(error), self._tools.wall.now(), error.retry_seconds))
        except AuthorityAway as error:
            self._log.warn("the certificate of {name} waits: {error}", name=task.names[0], error=str(error))
            self._keep_failure(work, error, is_away=True)
            return False
        except (DoorRefused, LockLost, EdgeGone):
            raise
        except AcmeError as error:
            self._log.warn("no certificate for {names}: {error}", names=", ".join(task.names), error=str(error))
            self._keep_failure(work, error)
        finally:
            work.close()
        return True

    def _keep_failure(self, work: "_Work", error: AcmeError, *, is_away: bool = False) -> None:
        """Have the edge keep why a task was not done: it goes on later where it can, else the order has failed."""
        now, draw, order = self._tools.wall.now(), self._tools.draw(), work.order
        kind, retry, identifiers = "", 0.0, frozenset[str]()
        if isinstance(error, AuthorityFailed):
            kind, retry, identifiers = error.kind, error.retry_seconds, error.identifiers
        if kind == "accountDoesNotExist":
            work.forget_account()
        if work.task.what is What.ASK_WINDOW:  # RFC 9773, 4.3: what was drawn before holds
            work.keep(asked(order, None, retry or ASK_AGAIN_SECONDS, now, draw))
        elif work.task.what is What.REVOKE:
            work.keep(orders.not_revoked(order, str(error), now, retry))
        elif order.url and (is_away or kind in _PASSING):
            work.keep(orders.again_later(order, str(error), now, retry))
        else:
            work.keep(
                orders.failed(
                    order, str(error), now, draw, retry_seconds=retry, is_away=is_away, identifiers=identifiers
                )
            )


class _Work:
    """One task: the record as it was kept last, and the authority while it is asked."""

    _log = Logger()

    def __init__(self, tools: Tools, view: View, directory: str, task: Task) -> None:
        self._tools = tools
        self._door = tools.door
        self._view = view
        self._settings: Settings = view.settings
        self._directory = directory
        self.task = task
        self._account = view.account
        self._authority: Asked | None = None
        self._key: ec.EllipticCurvePrivateKey | None = None
        self.order = task.order

    def close(self) -> None:
        """Close the connections."""
        if self._authority is not None:
            self._authority.close()

    def keep(self, order: Order) -> None:
        """Have the edge keep the record, from before what it describes is done; a key that came sealed goes with it."""
        if order.sealed:
            order = replace(order, secret=self._opened(order), sealed="")
        self._door.keep_order(order)
        self.order = order

    def do(self) -> None:
        """
        Do the task.

        :raises AcmeError: if it is not done.
        """
        match self.task.what:
            case What.ORDER:
                self._begin()
                self._go_on()
            case What.RESUME:
                self._resume()
            case What.ASK_WINDOW:
                self._ask_window()
            case What.REVOKE:
                self._revoke()

    def _begin(self) -> None:
        before = self.order
        replaces = before.certificate if before.directory == self._directory else ""
        secret, now = new_key(), self._tools.wall.now()
        self._key = load_key(secret)
        self.keep(orders.begun(before, self.task.names, self._directory, secret, now, self._tools.draw()))
        url = self._asked().order(self.task.names, self._settings.profile, replaces)
        self.keep(orders.ordered(self.order, url))

    def _resume(self) -> None:
        secret = self._opened(self.order)
        self.order = replace(self.order, secret=secret, sealed="")
        if not secret:
            raise CannotOrder("the key of the order cannot be opened by this edge; it is ordered anew")
        self._key = load_key(secret)
        self._go_on()

    def _opened(self, order: Order) -> str:
        """Return the key of an order, or an empty text if it cannot be opened."""
        try:
            secret = self._tools.open_sealed(order.sealed, f"order {order.name}") if order.sealed else ""
            if secret:
                load_key(secret)
        except ValueError as error:
            self._log.warn("the key of {name} cannot be opened: {error}", name=order.name, error=str(error))
            return ""
        return secret

    def _go_on(self) -> None:
        """Take the order from where the authority is to its end."""
        authority = self._asked()
        state = authority.order_state(self.order.url)
        number, waited = 0, 0.0
        while (action := orders.action_for(state.status)) is not Action.FETCH:
            self._keep_lock()
            if action is Action.FAIL:
                raise state.error or AuthorityFailed(f"the authority says that the order is {state.status}")
            if action is Action.PROVE:
                self._tools.proving.prove(authority, self._view, state.authorizations, self._keep_lock)
            elif action is Action.FINALIZE:
                self.keep(orders.finalized(self.order))
                state = authority.finalize(state.finalize, certificate_request(self._own_key(), self.order.names))
                if state.status != "ready":
                    continue
            if waited >= ISSUE_SECONDS:
                raise NotYet(f"the authority has not issued within {ISSUE_SECONDS:g} s", state.retry_seconds)
            pause = 0.0 if action is Action.PROVE and number == 0 else poll_seconds(number, state.retry_seconds)
            self._tools.pause(pause)
            number, waited = number + 1, waited + pause
            state = authority.order_state(self.order.url)
        self._fetch(authority.certificate(state.certificate))

    def _fetch(self, chain: str) -> None:
        read = read_chain(chain, self._own_key(), self.order.names)
        key = self.order.secret
        renew_at = renewal_without_window(read.issued_at, read.expires_at, self._tools.draw())
        order = orders.issued(self.order, read, renew_at, self._tools.wall.now())
        self._door.take_certificate(order.name, Certificate(chain=chain, key=key, order=order))
        self.order = order
        self._log.info("a certificate for {names} was issued", names=", ".join(order.names))

    def _ask_window(self) -> None:
        window, retry_seconds = self._asked().renewal_window(self.order.certificate)
        now, draw = self._tools.wall.now(), self._tools.draw()
        self.keep(asked(self.order, window, retry_seconds, now, draw))

    def _revoke(self) -> None:
        self._asked().revoke(leaf_of(self._door.chain(self.order.name)))
        self.keep(orders.revoked(self.order))

    def _asked(self) -> Asked:
        """Return the authority, with an account that it knows."""
        if self._authority is not None:
            return self._authority
        account = self._account
        if account is None or account.directory != self._directory:
            secret = new_key()
            account = Account(directory=self._directory, secret=secret)
            self._door.keep_account(account)  # before it is registered: a second time finds the same account
        else:
            try:
                secret = self._tools.open_sealed(account.sealed, "account")
            except ValueError as error:
                raise CannotOrder(f"the key of the account cannot be opened by this edge: {error}") from error
        account = self._account = replace(account, secret=secret, sealed="")
        authority = self._tools.connect(self._directory, self._settings.root, load_key(secret), account.url)
        self._authority = authority
        if not account.url:
            url = authority.register(self._settings.email, self._settings.external_account)
            self._account = replace(account, url=url, issuers=authority.issuers)
            self._door.keep_account(self._account)
            self._log.info("registered with {directory} as {url}", directory=self._directory, url=url)
        return authority

    def forget_account(self) -> None:
        """Have the account registered anew, with the same key, before it is used again."""
        if self._account is not None:
            self._account = replace(self._account, url="")
            self._door.keep_account(self._account)

    def _own_key(self) -> ec.EllipticCurvePrivateKey:
        if self._key is None:
            raise CannotOrder("the order has no key")
        return self._key

    def _keep_lock(self) -> None:
        if not self._door.lock(self._view.edge, LOCK_SECONDS):
            raise LockLost

"""
Which certificate a visitor is shown: those of a directory, chosen by SNI, and read again when a file changes.

`NAME.pem` holds a certificate, leaf first, with its issuers; its key is in the same file or in `NAME.key`. Names
come from the certificate itself, not from the file: an exact DNS name wins over a wildcard, which covers one label
(RFC 9525 §6.3). A name for which there is no certificate is answered with the alert `unrecognized_name`, and so are
visitors without SNI, because a scanner of addresses need not learn what is published here. Two files change that:
`default.pem` is shown in both cases, and a certificate with an IP address among its names to visitors without SNI.

Certificates that were ordered by ACME are shown where the directory has none for a hostname.

A file that cannot be used is named in the log and left out, whatever is wrong with it: damaged, a link to nowhere, a
pipe. The others are used, and so is what the file itself held before, for as long as the edge runs.
"""

import os
import ssl
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtensionOID
from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from warp_base.reactor import InThread
from warp_twisted.edge.certificates.asking import Authorities
from warp_twisted.edge.certificates.contexts import visitors_context
from warp_twisted.edge.certificates.openssl import OutOfReach, forget_tickets
from warp_twisted.edge.certificates.proof import Proof, ProvenTls
from warp_twisted.errors import InvalidSettings

CHECK_SECONDS = 5.0
DEFAULT_NAME = "default"
NOBODY: frozenset[bytes] = frozenset()

# Of each file: when it was changed, its size and its inode, so that a rename over it counts as well.
_Signature = Mapping[str, tuple[int, int, int]]
_NOT_THERE = (0, 0, 0)  # of a link whose target is not there, or may not be looked at


@dataclass(frozen=True, slots=True)
class Certificate:
    """
    One certificate in use.

    :param name: of the file, without its suffix.
    :param hostnames: DNS names in lower case, wildcards included.
    :param addresses: the IP addresses among the names, as a URI has them: IPv6 in brackets.
    :param expires_at: seconds since the epoch.
    """

    name: str
    hostnames: tuple[str, ...]
    addresses: tuple[str, ...]
    expires_at: float
    context: ssl.SSLContext

    @property
    def names(self) -> frozenset[str]:
        """All names and addresses."""
        return frozenset((*self.hostnames, *self.addresses))


@dataclass(frozen=True, slots=True)
class _Content:
    """
    What a directory held when it was read.

    :param complaints: about files that cannot be used, by name.
    :param certificates: those in use, by name, and `by_hostname` what is shown.
    """

    signature: _Signature
    complaints: Mapping[str, str]
    certificates: Mapping[str, Certificate]
    by_hostname: Mapping[str, "_Shown"]
    default: "_Shown | None"
    without_name: "_Shown | None"


@dataclass(frozen=True, slots=True)
class _Shown:
    """What is shown: a certificate, and the names that it covers."""

    context: ssl.SSLContext
    names: frozenset[str]


_NOTHING = _Content({}, {}, {}, {}, None, None)


class CertificateDirectory:
    """
    The certificates of one directory.

    :param directory: read at once; it may be empty, and then no visitor gets past the handshake; None: there is none.
    :param clock: the reactor, for looking at the files again.
    :param in_thread: runs that; by default it is run at once.
    :ivar context: what listeners use for every connection; it picks the certificate.
    :raises InvalidSettings: if the directory cannot be read.
    """

    _log = Logger()

    def __init__(self, directory: str | None, clock: IReactorTime, in_thread: InThread = execute) -> None:
        self._directory = Path(directory) if directory is not None else None
        self._in_thread = in_thread
        self._content = _read(self._directory, _NOTHING)
        self._ordered: Mapping[str, Certificate] = {}
        self._shown_ordered: Mapping[str, _Shown] = {}
        self._begun = self._used = 0  # reads
        self._authorities: Authorities | None = None
        self._asked_of: Callable[[str], frozenset[bytes]] = _nobody
        self._checking = LoopingCall(lambda: Deferred.fromCoroutine(self._check()))
        self._checking.clock = clock
        self.context = visitors_context()
        self.context.sni_callback = self._choose
        self.context.sslobject_class = ProvenTls

    @property
    def certificates(self) -> list[Certificate]:
        """The certificates of the directory in use, by file name."""
        certificates = self._content.certificates
        return [certificates[name] for name in sorted(certificates)]

    @property
    def ordered(self) -> list[Certificate]:
        """The certificates that were ordered, by name."""
        return [self._ordered[name] for name in sorted(self._ordered)]

    def use_ordered(self, certificates: Mapping[str, Certificate]) -> None:
        """Show these, too, from the next handshake on, where the directory has none for a hostname."""
        self._ordered = certificates
        self._shown_ordered = _index({}, {}, certificates).by_hostname

    def is_ordered(self, hostname: str) -> bool:
        """Whether a certificate that was ordered covers a hostname."""
        return hostname in self._shown_ordered or "*." + hostname.partition(".")[2] in self._shown_ordered

    @property
    def complaints(self) -> list[str]:
        """A sentence for each file that cannot be used."""
        return list(self._content.complaints.values())

    def start(self) -> None:
        """Begin to look for changes every few seconds."""
        self._checking.start(CHECK_SECONDS, now=False)

    def stop(self) -> None:
        """Look no more."""
        if self._checking.running:
            self._checking.stop()

    async def refresh(self) -> bool:
        """
        Read what has changed.

        A directory may be on a disk that does not answer, so this waits for a thread. Of several reads under way the
        last one begun counts.

        :returns: whether anything had.
        :raises InvalidSettings: if the directory cannot be read; then nothing has changed.
        """
        self._begun += 1
        number, before = self._begun, self._content
        content = await self._in_thread(lambda: _read(self._directory, before))
        if number < self._used:
            return False
        self._used, self._content = number, content
        return content is not before

    def has_certificate(self, hostname: str) -> bool:
        """Whether there is a certificate to show to the visitors of a hostname in lower case."""
        return self._shown_for(hostname) is not None

    def ask_visitors(self, authorities: Authorities | None, of: Callable[[str], frozenset[bytes]]) -> None:
        """
        Ask the visitors of some hostnames for certificates, from the next handshake on.

        What was agreed on before is not resumed: a session goes on without anybody being asked.

        :param authorities: who is believed; None to ask nobody.
        :param of: returns the authorities of a hostname, in DER; none of them: its visitors are not asked.
        """
        if authorities is not None or self._authorities is not None:
            forget_tickets(self.context)
        self._authorities = authorities
        self._asked_of = of

    def _shown_for(self, hostname: str | None) -> _Shown | None:
        """Return what to show for a hostname in lower case, or for None where the visitor named none, if anything."""
        if hostname is None:
            return self._content.without_name
        pattern = "*." + hostname.partition(".")[2]
        for shown in (self._content.by_hostname, self._shown_ordered):
            found = shown.get(hostname) or shown.get(pattern)
            if found is not None:
                return found
        return self._content.default

    def _choose(self, connection: ssl.SSLObject, name: str | None, initial: ssl.SSLContext) -> int | None:
        asked = None if name is None else name.lower().removesuffix(".")
        shown = self._shown_for(asked)
        if shown is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        connection.context = shown.context
        if isinstance(connection, ProvenTls):
            try:
                authorities = self._ask(connection, asked)
            except OutOfReach as error:
                self._log.error("a visitor could not be asked for a certificate: {error}", error=error)
                return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
            connection.proof = Proof(asked, shown.names, authorities)
            if asked is not None and connection.may_ask_for is not None and not connection.may_ask_for(asked):
                return ssl.ALERT_DESCRIPTION_ACCESS_DENIED
        return None

    def _ask(self, connection: ssl.SSLObject, hostname: str | None) -> frozenset[bytes]:
        """Ask for a certificate, if there are authorities for the hostname; return them."""
        if self._authorities is None or hostname is None:
            return NOBODY
        asked_of = self._asked_of(hostname)
        if asked_of:
            self._authorities.ask(connection, asked_of)
        return asked_of

    async def _check(self) -> None:
        try:
            if not await self.refresh():
                return
        except InvalidSettings as error:
            self._log.warn("the directory of certificates cannot be read: {error}", error=error)
            return
        for complaint in self.complaints:
            self._log.warn("a certificate is not used: {complaint}", complaint=complaint)
        self._log.info(
            "{count} certificates are in use: {names}",
            count=len(self._content.certificates),
            names=", ".join(sorted(self._content.by_hostname)),
        )


def _read(directory: Path | None, before: _Content) -> _Content:
    """
    Read what has changed since a directory was read before; runs in any thread.

    :returns: what was passed if nothing has changed.
    :raises InvalidSettings: if the directory cannot be read.
    """
    if directory is None:
        return before
    try:
        signature = _sign(directory)
    except OSError as error:
        raise InvalidSettings(f"certificates: {directory}: {error.strerror}") from error
    if signature == before.signature:
        return before
    complaints: dict[str, str] = {}
    read: dict[str, Certificate] = {}
    for name in sorted(file.removesuffix(".pem") for file in signature if file.endswith(".pem")):
        files = (f"{name}.pem", f"{name}.key")
        known = before.certificates.get(name)
        if known is not None:
            read[name] = known
        if all(signature.get(file) == before.signature.get(file) for file in files):
            if name in before.complaints:
                complaints[name] = before.complaints[name]
            continue
        try:
            read[name] = _load(directory, name, has_key_file=files[1] in signature)
        except (OSError, ValueError) as error:  # an ssl.SSLError is an OSError
            complaints[name] = f"{directory / files[0]} cannot be used: {error}; repair or remove it"
    return _index(signature, complaints, read)


def _index(signature: _Signature, complaints: Mapping[str, str], read: Mapping[str, Certificate]) -> _Content:
    """Say which certificate is shown for which hostname."""
    by_hostname: dict[str, _Shown] = {}
    default = without_name = None
    for name, certificate in sorted(read.items()):
        shown = _Shown(certificate.context, certificate.names)
        for hostname in certificate.hostnames:
            by_hostname.setdefault(hostname, shown)
        if certificate.addresses and without_name is None:
            without_name = shown
        if name == DEFAULT_NAME:
            default = shown
    return _Content(signature, complaints, read, by_hostname, default, default or without_name)


def _sign(directory: Path) -> _Signature:
    signature = {}
    for path in directory.iterdir():
        if path.suffix in (".pem", ".key"):
            try:
                status = path.stat()
            except OSError:  # `_load` says why
                signature[path.name] = _NOT_THERE
            else:
                signature[path.name] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return signature


def _load(directory: Path, name: str, *, has_key_file: bool) -> Certificate:
    """Read one certificate and its key; raises `OSError` or `ValueError`."""
    path, key = directory / f"{name}.pem", directory / f"{name}.key"
    _check_file(path)
    if has_key_file:
        _check_file(key)
    context = visitors_context()
    context.load_cert_chain(path, key if has_key_file else None, password=_no_password)
    leaf = x509.load_pem_x509_certificate(path.read_bytes())
    names = names_of(leaf)
    return Certificate(
        name=name,
        hostnames=tuple(hostname.lower().removesuffix(".") for hostname in names.get_values_for_type(x509.DNSName)),
        addresses=tuple(
            f"[{address}]" if ":" in str(address) else str(address)
            for address in names.get_values_for_type(x509.IPAddress)
        ),
        expires_at=leaf.not_valid_after_utc.timestamp(),
        context=context,
    )


def _check_file(path: Path) -> None:
    """Refuse what is no file: OpenSSL does not say which of the two it could not open, and a pipe would hold us up."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        target = (
            f"is a link to {os.readlink(path)}, which cannot be opened" if path.is_symlink() else "cannot be opened"
        )
        raise ValueError(f"{path.name} {target} ({error.strerror})") from error
    if not stat.S_ISREG(mode):
        raise ValueError(f"{path.name} is no file")


def names_of(leaf: x509.Certificate) -> x509.SubjectAlternativeName:
    """
    Return the names of a certificate.

    :raises ValueError: if browsers would find none in it.
    """
    try:
        extension = leaf.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    except x509.ExtensionNotFound as error:
        raise ValueError("it has no subjectAltName, so browsers accept it for no hostname") from error
    value = extension.value
    if not isinstance(value, x509.SubjectAlternativeName):
        raise ValueError("its subjectAltName cannot be read")
    return value


def _nobody(hostname: str) -> frozenset[bytes]:
    return NOBODY


def _no_password() -> str:
    raise ValueError("its key is encrypted; a service cannot ask for the password")

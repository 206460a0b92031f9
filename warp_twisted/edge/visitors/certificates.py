"""
Which certificate a visitor is shown: those of a directory, chosen by SNI, and read again when a file changes.

`NAME.pem` holds a certificate, leaf first, with its issuers; its key is in the same file or in `NAME.key`. Names
come from the certificate itself, not from the file: an exact DNS name wins over a wildcard, which covers one label
(RFC 9525 §6.3). A name for which there is no certificate is answered with the alert `unrecognized_name`, and so are
visitors without SNI, because a scanner of addresses need not learn what is published here. Two files change that:
`default.pem` is shown in both cases, and a certificate with an IP address among its names to visitors without SNI.

A file that cannot be used is named in the log and left out, whatever is wrong with it: damaged, a link to nowhere, a
pipe. The others are used, and so is what the file itself held before, for as long as the edge runs.
"""

import os
import ssl
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtensionOID
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from warp_twisted.errors import InvalidSettings
from warp_twisted.tunnel.groups import restrict_groups

CHECK_SECONDS = 5.0
DEFAULT_NAME = "default"
# TLS 1.2 with forward secrecy and authenticated encryption only; TLS 1.3 has its own list.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"

# Of each file: when it was changed, its size and its inode, so that a rename over it counts as well.
_Signature = Mapping[str, tuple[int, int, int]]
_NOT_THERE = (0, 0, 0)  # of a link whose target is not there, or may not be looked at


@dataclass(frozen=True, slots=True)
class Certificate:
    """
    One certificate in use.

    :param name: of the file, without its suffix.
    :param hostnames: DNS names in lower case, wildcards included.
    :param has_address: whether an IP address is among the names.
    :param expires_at: seconds since the epoch.
    """

    name: str
    hostnames: tuple[str, ...]
    has_address: bool
    expires_at: float
    context: ssl.SSLContext


class CertificateDirectory:
    """
    The certificates of one directory.

    :param directory: read at once; it may be empty, and then no visitor gets past the handshake.
    :param clock: the reactor, for looking at the files again.
    :ivar context: what listeners use for every connection; it picks the certificate.
    :raises InvalidSettings: if the directory cannot be read.
    """

    _log = Logger()

    def __init__(self, directory: str, clock: IReactorTime) -> None:
        self._directory = Path(directory)
        self._signature: _Signature = {}
        self._complaints: dict[str, str] = {}
        self._certificates: dict[str, Certificate] = {}
        self._by_hostname: dict[str, ssl.SSLContext] = {}
        self._default: ssl.SSLContext | None = None
        self._without_name: ssl.SSLContext | None = None
        self._checking = LoopingCall(self._check)
        self._checking.clock = clock
        self.context = _new_context()
        self.context.sni_callback = self._choose
        self.refresh()

    @property
    def certificates(self) -> list[Certificate]:
        """The certificates in use, by file name."""
        return [self._certificates[name] for name in sorted(self._certificates)]

    def start(self) -> None:
        """Begin to look for changes every few seconds."""
        self._checking.start(CHECK_SECONDS, now=False)

    def stop(self) -> None:
        """Look no more."""
        if self._checking.running:
            self._checking.stop()

    def refresh(self) -> list[str]:
        """
        Read what has changed.

        :returns: a sentence for each file that cannot be used, whether or not it was so before.
        :raises InvalidSettings: if the directory cannot be read; then nothing has changed.
        """
        try:
            signature = _sign(self._directory)
        except OSError as error:
            raise InvalidSettings(f"certificates: {self._directory}: {error.strerror}") from error
        complaints: dict[str, str] = {}
        read: dict[str, Certificate] = {}
        for name in sorted(file.removesuffix(".pem") for file in signature if file.endswith(".pem")):
            files = (f"{name}.pem", f"{name}.key")
            known = self._certificates.get(name)
            if known is not None:
                read[name] = known
            if all(signature.get(file) == self._signature.get(file) for file in files):
                if name in self._complaints:
                    complaints[name] = self._complaints[name]
                continue
            try:
                read[name] = _load(self._directory, name, has_key_file=files[1] in signature)
            except (OSError, ValueError) as error:  # an ssl.SSLError is an OSError
                complaints[name] = f"{self._directory / files[0]} cannot be used: {error}; repair or remove it"
        self._signature = signature
        self._complaints = complaints
        self._certificates = read
        self._index()
        return list(complaints.values())

    def context_for(self, hostname: str | None) -> ssl.SSLContext | None:
        """
        Return what to show for a hostname in lower case, or for None where the visitor named none.

        :returns: None if there is nothing to show.
        """
        if hostname is None:
            return self._without_name
        exact = self._by_hostname.get(hostname)
        if exact is not None:
            return exact
        return self._by_hostname.get("*." + hostname.partition(".")[2], self._default)

    def _choose(self, connection: ssl.SSLObject, name: str | None, initial: ssl.SSLContext) -> int | None:
        context = self.context_for(None if name is None else name.lower().removesuffix("."))
        if context is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        connection.context = context
        return None

    def _index(self) -> None:
        by_hostname: dict[str, ssl.SSLContext] = {}
        without_name = None
        for certificate in self.certificates:
            for hostname in certificate.hostnames:
                by_hostname.setdefault(hostname, certificate.context)
            if certificate.has_address and without_name is None:
                without_name = certificate.context
        default = self._certificates.get(DEFAULT_NAME)
        self._by_hostname = by_hostname
        self._default = None if default is None else default.context
        self._without_name = self._default or without_name

    def _check(self) -> None:
        try:
            if _sign(self._directory) == self._signature:
                return
            complaints = self.refresh()
        except (OSError, InvalidSettings) as error:
            self._log.warn("the directory of certificates cannot be read: {error}", error=error)
            return
        for complaint in complaints:
            self._log.warn("a certificate is not used: {complaint}", complaint=complaint)
        self._log.info(
            "{count} certificates are in use: {names}",
            count=len(self._certificates),
            names=", ".join(sorted(self._by_hostname)),
        )


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
    context = _new_context()
    context.load_cert_chain(path, key if has_key_file else None, password=_no_password)
    leaf = x509.load_pem_x509_certificate(path.read_bytes())
    names = _names(leaf)
    return Certificate(
        name=name,
        hostnames=tuple(hostname.lower().removesuffix(".") for hostname in names.get_values_for_type(x509.DNSName)),
        has_address=bool(names.get_values_for_type(x509.IPAddress)),
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


def _names(leaf: x509.Certificate) -> x509.SubjectAlternativeName:
    try:
        extension = leaf.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    except x509.ExtensionNotFound as error:
        raise ValueError("it has no subjectAltName, so browsers accept it for no hostname") from error
    value = extension.value
    if not isinstance(value, x509.SubjectAlternativeName):
        raise ValueError("its subjectAltName cannot be read")
    return value


def _new_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    context.num_tickets = 1  # resumes the next connection; OpenSSL's second costs a tenth of a handshake
    restrict_groups(context)
    return context


def _no_password() -> str:
    raise ValueError("its key is encrypted; a service cannot ask for the password")

"""A private network on loopback: a certificate authority of its own, and a proxy that opens tunnels."""

import contextlib
import ipaddress
import selectors
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from tests.contract.fake_carrier import FakeCarrier


class Authority:
    """Writes its certificates to files in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        extensions = [(x509.BasicConstraints(ca=True, path_length=0), True), (_usage(signs_certificates=True), True)]
        self._certificate = self._signed(self._name, self._key.public_key(), extensions)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self._certificate.public_bytes(Encoding.PEM))

    def issue(self, name: str, *, days: int = 2, password: bytes | None = None) -> tuple[Path, Path]:
        """The files of a certificate for 127.0.0.1, and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        addresses = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        extensions = [(addresses, False), (_usage(signs_certificates=False), True)]
        certificate = self._signed(_name(name), key.public_key(), extensions, days=days)
        files = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        encryption = BestAvailableEncryption(password) if password else NoEncryption()
        files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
        files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
        return files

    def server(self, *, clients_of: "Authority | None" = None) -> ssl.SSLContext:
        """The settings of a server, which asks for a certificate of `clients_of`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue("server"))
        if clients_of is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients_of.file)
        return context

    def _signed(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePublicKey,
        extensions: list[tuple[x509.ExtensionType, bool]],
        *,
        days: int = 2,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=name,
            public_key=key,
            serial_number=x509.random_serial_number(),
            not_valid_before=now - timedelta(days=3),
            not_valid_after=now + timedelta(days=days),
        )
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        identifiers = [(x509.SubjectKeyIdentifier.from_public_key(key), False), (authority, False)]
        for extension, is_critical in [*identifiers, *extensions]:
            builder = builder.add_extension(extension, is_critical)
        return builder.sign(self._key, hashes.SHA256())


def open_tunnel(proxy: FakeCarrier, connection: socket.socket) -> None:
    """The `play` of a proxy: CONNECT to where the request says, and pass on both directions until one of them ends."""
    host, _, port = proxy.received[-1].target.rpartition(":")
    with socket.create_connection((host, int(port))) as upstream, selectors.DefaultSelector() as selector:
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        selector.register(connection, selectors.EVENT_READ, upstream)
        selector.register(upstream, selectors.EVENT_READ, connection)
        while not proxy.stopped.is_set():
            for key, _events in selector.select(timeout=0.05):
                data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                if not data:
                    with contextlib.suppress(OSError):
                        key.data.shutdown(socket.SHUT_WR)
                    raise ConnectionAbortedError
                key.data.sendall(data)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )

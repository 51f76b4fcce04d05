"""Certificates for carriers on loopback."""

import shutil
import subprocess
from pathlib import Path

import pytest


def _make_certificate(folder: Path, name: str) -> Path:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command")
    path = folder / "certificate.pem"
    key = folder / "key.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=carrier"]
        + ["-addext", f"subjectAltName={name}", "-keyout", key, "-out", path],
        check=True,
        capture_output=True,
    )
    path.write_text(path.read_text() + key.read_text())
    return path


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _make_certificate(tmp_path_factory.mktemp("tls"), "IP:127.0.0.1")


@pytest.fixture(scope="session")
def certificate_of_another_name(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _make_certificate(tmp_path_factory.mktemp("tls-other"), "DNS:other.example")

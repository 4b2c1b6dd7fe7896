"""A TLS certificate made on the spot, for servers of tests. openssl makes it: it is where TLS is."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ixxsms.errors import Error

NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"


def self_signed(folder: Path) -> tuple[Path, Path]:
    """(certificate, key) as files in this folder, for localhost and its addresses, for two days. Raises Error."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = [
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-days", "2", "-subj", "/CN=localhost", "-addext", NAMES, "-out", str(certificate), "-keyout", str(key)),
    ]
    try:
        subprocess.run(command, capture_output=True, check=True, timeout=60)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        raise Error(f"openssl, which makes the certificate, cannot be run: {error}.") from error
    return certificate, key

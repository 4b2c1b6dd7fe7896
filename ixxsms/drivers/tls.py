"""TLS towards an SMSC: what is asked of its certificate, and what went wrong in words.

Imported only where a trunk uses TLS. Must never know SMPP.
"""

from __future__ import annotations

import socket
import ssl

#: What a call on such a socket raises that has to be made again when the link is ready.
BLOCKED: tuple[type[OSError], ...] = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

#: The most that goes into one record (RFC 8446 section 5.1): of what is written at once either all has left or nothing
#: that the other side could read.
RECORD_OCTETS = 16384

#: Why a certificate is not taken, by the number of OpenSSL's X509_V_ERR_….
_CERTIFICATE = {
    9: "is not valid yet; is the clock right?",
    10: "has expired",
    18: "is signed by itself, and not known here (option tls_ca)",
    19: "is of an authority that is not known here (option tls_ca)",
    20: "is of an authority that is not known here (option tls_ca)",
    21: "is of an authority that is not known here (option tls_ca)",
    23: "has been revoked",
    62: "is for another host than {host}",
    64: "is for another address than {host}",
}


def wrap(link: socket.socket, host: str, ca: str, verify: bool) -> ssl.SSLSocket:
    """The connected, non-blocking socket with TLS; the handshake is still to be made. Raises OSError.

    `host` is what the certificate must be for, and goes out as SNI. `ca`: a file of certificates, or empty for the
    system's. Read anew each time: it may have been replaced.
    """
    context = ssl.create_default_context(cafile=ca or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(link, server_hostname=host, do_handshake_on_connect=False)


def words_of(error: OSError, host: str) -> str:
    """Why there is no TLS with this host, as a sentence."""
    if isinstance(error, ssl.SSLCertVerificationError):
        known = _CERTIFICATE.get(error.verify_code)
        said = known.format(host=host) if known else f"is not taken: {error.verify_message}"
        return f"The SMSC's certificate {said}".rstrip(".?") + ("?" if said.endswith("?") else ".")
    reason = getattr(error, "reason", "")  # OpenSSL's word; not every error has one
    if reason == "WRONG_VERSION_NUMBER":
        return "The SMSC does not speak TLS on this port."
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ConnectionError):
        return "The SMSC closed the link before it was encrypted."
    return f"The link to the SMSC cannot be encrypted: {reason or error.strerror or error}."

"""An SMS as a mail, for whom its SIP phone did not take it. It blocks; nothing here knows where addresses are kept."""

from __future__ import annotations

import smtplib
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from ixxsms.asterisk.pieces import one_line

#: Seconds that the mail server may take for each of its answers.
PATIENCE = 20.0


def send(host: str, sender: str, to: str, number: str, did: str, text: str) -> None:
    """Mail an SMS from `number` to `did`. `host` may have a port after a colon. Raises OSError: it was not taken."""
    mail = compose(sender, to, number, did, text)
    with smtplib.SMTP(host, timeout=PATIENCE) as server:
        server.send_message(mail)


def compose(sender: str, to: str, number: str, did: str, text: str) -> EmailMessage:
    """The mail. What a stranger wrote is in the body, or in one line: it cannot become a header or an address."""
    mail = EmailMessage()
    mail["From"] = one_line(sender, 190)
    mail["To"] = one_line(to, 190)
    subject = f"SMS from {one_line(number, 40)} to {one_line(did, 40)}"
    # "=?" begins an encoded word (RFC 2047), and the email package writes out the line break that one may hold.
    mail["Subject"] = subject.replace("=?", "= ?")
    mail["Date"] = formatdate(localtime=True)
    mail["Message-ID"] = make_msgid(domain="ixxsms")
    mail.set_content(text.encode("utf-8", "replace").decode("utf-8"))
    return mail

"""The command line: each command parses, makes one call into the library, and prints.

Exit codes: 0 done; 1 refused, with one sentence on standard error; 2 usage. What is slow to import is imported by the
commands that need it: `ixxsms --help`, or a shell script in a loop, should not wait for a database.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from ixxsms.cli import (  # noqa: F401  they enter their commands
    asterisk,
    campaign,
    db,
    fake_smsc,
    harvest,
    hook,
    inbox,
    list,
    numbering,
    optout,
    outbox,
    receipts,
    route,
    send,
    service,
    sip,
    trunk,
)
from ixxsms.cli.output import clean
from ixxsms.cli.root import app
from ixxsms.errors import Error

__all__ = ["app", "main"]

app.add_typer(asterisk.app, name="asterisk")


def main() -> None:
    """The program `ixxsms`. Exits; never returns a value."""
    _open_closed_streams()
    try:
        try:
            app(prog_name="ixxsms")
        finally:
            sys.stdout.flush()
    except Error as error:
        _refuse(str(error))
    except BrokenPipeError:
        # Whoever read our output has gone: what is left in the buffer must not complain at the very end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _refuse(f"{error.filename or 'The output'} cannot be used: {error.strerror or error}.")
    except UnicodeEncodeError:
        _refuse("A value on the command line is not in UTF-8, or the terminal cannot show one.")
    except KeyboardInterrupt:
        sys.exit(130)


def _open_closed_streams() -> None:
    """A stream that was closed is None in Python, and its number would go to the next file that is opened."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - it stays open


def _refuse(sentence: str) -> NoReturn:
    print(f"ixxsms: {clean(sentence)}", file=sys.stderr)
    sys.exit(1)

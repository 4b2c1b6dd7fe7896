"""The database of a PBX: user and password are in the PBX program's own files, and are read from there.

Knows the files of FreePBX, Issabel and Elastix. They are PHP or lists of names; nothing in them is ever run. Must never
show a password: not in a repr, not in an error, not in a log.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

#: In the order in which they are asked. PHP first: where both kinds are there, the other is a left-over.
PHP_FILES = ("/etc/freepbx.conf", "/etc/issabelpbx.conf", "/etc/asterisk/freepbx.conf")
LIST_FILES = ("/etc/amportal.conf",)
#: Issabel's and Elastix' list of passwords, which knows the database's administrator only.
ROOT_FILES = ("/etc/issabel.conf", "/etc/elastix.conf")

_ENGINES = {
    **dict.fromkeys(("", "mysql", "mysqli", "mariadb"), "mysql"),
    **dict.fromkeys(("pgsql", "postgres", "postgresql"), "postgresql"),
}

# A string may hold what looks like a comment, and a comment what looks like a string: one pattern takes both.
_PHP = re.compile(
    r"""(?P<comment>/\*.*?\*/|(?://|\#)[^\n]*)
    |(?P<ours>\$amp_conf\s*\[\s*)?(?P<quote>['"])(?P<name>\w+)(?P=quote)\s*(?(ours)\]\s*=(?!=)|=>)\s*
     (?:(?P<bare>-?\d+)|(?P<open>['"])(?P<value>(?:\\.|(?!(?P=open))[^\\])*)(?P=open))
    |"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'""",
    re.S | re.X,
)
_QUOTED = re.compile(r"""(?P<quote>["'])(?P<value>.*?)(?P=quote)(?:\s+\#.*)?""")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass(frozen=True)
class Credentials:
    """How to log in to the database that holds the call records."""

    source: str  # the file that they were found in
    engine: str
    user: str
    password: str = field(repr=False)
    host: str = "localhost"
    port: str = ""
    database: str = "asteriskcdrdb"
    table: str = "cdr"

    @property
    def url(self) -> str:
        """An SQLAlchemy URL, password and all."""
        return self._url(f":{_quoted(self.password)}", self.database)

    def shown(self, database: str = "") -> str:
        """The URL for people: without the password, for the same or another database of that server."""
        return self._url("", database or self.database)

    def _url(self, password: str, database: str) -> str:
        host, port, socket = _place(self.host, self.port)
        where = f"[{host}]" if ":" in host else _quoted(host)
        where += f":{port}" if port else ""
        more = f"?unix_socket={_quoted(socket)}" if socket else ""
        return f"{self.engine}://{_quoted(self.user)}{password}@{where}/{_quoted(database)}{more}"


def _quoted(value: str) -> str:
    """What is no UTF-8 goes by its octets, as the file has them."""
    return quote(value, safe="", errors="surrogateescape")


def _place(host: str, port: str) -> tuple[str, str, str]:
    """Host, port and socket of "db", "db:3307" or "localhost:/run/mysqld/mysqld.sock"."""
    name, colon, rest = host.partition(":")
    if colon and rest.startswith("/"):
        return name or "localhost", "", rest
    if colon and rest.isdigit():
        return name, rest, ""
    return host, port if port.isdigit() else "", ""


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8", errors="surrogateescape")


def find(read: Callable[[str], str] = _read) -> Credentials | None:
    """The credentials in the first file that has some; None where there is none. `read` gives the text of a path."""
    for path in (*PHP_FILES, *LIST_FILES, *ROOT_FILES):
        try:
            text = read(path)
        except OSError:
            continue
        values = parse_php(text) if path in PHP_FILES else parse_list(text)
        if path in ROOT_FILES and values.get("mysqlrootpwd"):
            return Credentials(path, "mysql", "root", values["mysqlrootpwd"])
        if found := _credentials(path, values):
            return found
    return None


def _credentials(source: str, values: Mapping[str, str]) -> Credentials | None:
    def either(name: str, default: str = "") -> str:
        return values.get(f"CDRDB{name}") or values.get(f"AMPDB{name}") or default

    engine = _ENGINES.get((values.get("CDRDBTYPE") or values.get("AMPDBENGINE") or "").lower())
    if engine is None or not either("USER"):
        return None
    return Credentials(
        source=source,
        engine=engine,
        user=either("USER"),
        password=either("PASS"),
        host=either("HOST", "localhost"),
        port=either("PORT"),
        database=values.get("CDRDBNAME") or "asteriskcdrdb",  # AMPDBNAME is the one of the PBX's own settings
        table=values.get("CDRDBTABLENAME") or "cdr",
    )


def parse_php(text: str) -> dict[str, str]:
    """The strings and numbers that are given to $amp_conf['NAME'], or 'NAME' => in an array."""
    found = {}
    for match in _PHP.finditer(text):
        if match["name"]:
            found[match["name"]] = match["bare"] or _unescaped(match["value"] or "", match["open"])
    return found


def _unescaped(value: str, quote_: str) -> str:
    if quote_ == "'":
        return re.sub(r"\\(['\\])", r"\1", value)
    return re.sub(r'\\([ntr"\\$])', lambda found: _ESCAPES.get(found[1], found[1]), value)


def parse_list(text: str) -> dict[str, str]:
    """The values of lines NAME=value, which may be quoted; a comment begins a line, or follows a value in quotes."""
    found = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if not equals or name.startswith(("#", ";")):
            continue
        value = value.strip()
        if quoted := _QUOTED.fullmatch(value):
            value = quoted["value"]
        found[name.removeprefix("export ").strip()] = value
    return found

"""The database of a PBX, found in the PBX program's own files. Nothing shows its password by accident."""

from __future__ import annotations

import logging

import pytest
from sqlalchemy.engine import make_url

from ixxsms.asterisk.credentials import Credentials, find, parse_list, parse_php

FREEPBX = r"""<?php
// $amp_conf["AMPDBUSER"] = "commented";
$amp_conf["AMPDBUSER"] = "freepbxuser";
$amp_conf['AMPDBPASS']	=	'p@ss:w/rd#%\'"';   # $amp_conf['AMPDBPASS'] = 'not this';
/* $amp_conf["AMPDBHOST"] = "old";
   $amp_conf["AMPDBNAME"] = "old"; */
$amp_conf["AMPDBHOST"]="localhost";
$amp_conf["AMPDBPORT"] = 3307;
$amp_conf["AMPDBNAME"] = "asterisk";
$amp_conf["AMPDBENGINE"] = "mysql";
$amp_conf["datasource"] = ""; //for sqlite3
$elsewhere = 'http://example.net/*';
require_once('/var/www/html/admin/bootstrap.php');
?>
"""

AMPORTAL = """\
# AMPDBUSER=commented
;AMPDBUSER=commented too
AMPDBHOST=localhost
AMPDBENGINE=mysql
# AMPDBNAME=asterisk
AMPDBUSER=asteriskuser
 AMPDBPASS = am;p#109
AMPWEBROOT="/var/www/html"\r
"""


def files(**contents: str):
    """A reader of files: the names are written with _ for / and for the dot."""
    named = {f"/etc/{name.replace('_conf', '.conf')}": text for name, text in contents.items()}

    def read(path: str) -> str:
        if path not in named:
            raise FileNotFoundError(path)
        return named[path]

    return read


def test_freepbx_tells_user_password_and_place():
    found = find(files(freepbx_conf=FREEPBX))
    assert (found.source, found.user, found.password) == ("/etc/freepbx.conf", "freepbxuser", "p@ss:w/rd#%'\"")
    assert (found.host, found.port, found.database, found.table) == ("localhost", "3307", "asteriskcdrdb", "cdr")


def test_the_url_gives_back_what_the_file_says():
    url = make_url(find(files(freepbx_conf=FREEPBX)).url)
    assert (url.drivername, url.username, url.password) == ("mysql", "freepbxuser", "p@ss:w/rd#%'\"")
    assert (url.host, url.port, url.database) == ("localhost", 3307, "asteriskcdrdb")


def test_octets_that_are_no_utf_8_stand_in_the_url_as_they_are():
    php = FREEPBX.encode().replace(b"p@ss", b"p\xf1ss").decode("utf-8", "surrogateescape")
    found = find(files(freepbx_conf=php))
    assert found.url == "mysql://freepbxuser:p%F1ss%3Aw%2Frd%23%25%27%22@localhost:3307/asteriskcdrdb"


def test_issabel_and_elastix_tell_theirs_in_amportal():
    found = find(files(amportal_conf=AMPORTAL))
    assert (found.user, found.password, found.host) == ("asteriskuser", "am;p#109", "localhost")
    assert found.url == "mysql://asteriskuser:am%3Bp%23109@localhost/asteriskcdrdb"


def test_the_administrators_password_of_issabel_is_the_last_resort():
    found = find(files(issabel_conf="mysqlrootpwd=ro ot\ncyrususerpwd=x\namiadminpwd=y\n"))
    assert (found.user, found.password) == ("root", "ro ot")
    both = find(files(issabel_conf="mysqlrootpwd=secret\n", amportal_conf=AMPORTAL))
    assert both.user == "asteriskuser"


def test_what_is_said_of_the_call_records_goes_before_what_is_said_of_the_pbx():
    more = """$amp_conf["CDRDBHOST"] = "db.example.net"; $amp_conf["CDRDBPORT"] = "3310";
        $amp_conf["CDRDBUSER"] = "reader"; $amp_conf["CDRDBPASS"] = "read"; $amp_conf["CDRDBTYPE"] = "postgres";
        $amp_conf["CDRDBNAME"] = "calls"; $amp_conf["CDRDBTABLENAME"] = "cdr2";"""
    found = find(files(freepbx_conf=FREEPBX.replace("?>", more)))
    assert found.url == "postgresql://reader:read@db.example.net:3310/calls"
    assert found.table == "cdr2"


def test_empty_values_of_the_call_records_are_no_values():
    empty = "".join(f"$amp_conf['CDRDB{name}'] = '';" for name in ("HOST", "USER", "PASS", "NAME", "TABLENAME"))
    assert find(files(freepbx_conf=FREEPBX + empty)) == find(files(freepbx_conf=FREEPBX))


@pytest.mark.parametrize(
    ("host", "place"),
    [
        (
            "localhost:/var/lib/mysql/mysql.sock",
            "localhost/asteriskcdrdb?unix_socket=%2Fvar%2Flib%2Fmysql%2Fmysql.sock",
        ),
        ("10.0.0.1:3309", "10.0.0.1:3309/asteriskcdrdb"),
        ("::1", "[::1]/asteriskcdrdb"),
        ("", "localhost/asteriskcdrdb"),
    ],
)
def test_a_host_may_hold_a_port_or_a_socket(host, place):
    found = find(files(amportal_conf=f"AMPDBUSER=u\nAMPDBPASS=p\nAMPDBHOST={host}\n"))
    assert found.url == f"mysql://u:p@{place}"
    make_url(found.url)


@pytest.mark.parametrize(
    ("php", "value"),
    [
        ("""$amp_conf['X'] = "a\\"b\\$c\\\\d";""", 'a"b$c\\d'),
        ("""$amp_conf['X'] = 'a"b\\'c\\\\d\\n';""", "a\"b'c\\d\\n"),
        ("""$amp_conf [ "X" ]\n = \n'v';""", "v"),
        ("""$amp_conf = array('X' => 'v', "Y" => "w");""", "v"),
        ("""$amp_conf['X'] = 5038;""", "5038"),
        ("""$amp_conf['X'] = '// no comment';""", "// no comment"),
        ("""$amp_conf['X'] = '';""", ""),
        ("""$amp_conf['X'] = getenv('SECRET');""", None),
        ("""if ($amp_conf['X'] == 'v') {}""", None),
        ("""# $amp_conf['X'] = 'v';""", None),
        ("""$amp_conf['X'] = 'v'; $other['X'] = 'w';""", "v"),
        ("""$other['X'] = 'w';""", None),
        ("""echo "$amp_conf['X'] = 'v'";""", None),
    ],
)
def test_php_is_read_and_never_run(php, value):
    assert parse_php(f"<?php\n{php}\n").get("X") == value


def test_php_that_never_ends_a_string_is_no_trouble():
    assert parse_php("""$amp_conf['A'] = 'v'; $amp_conf['B'] = 'open""") == {"A": "v"}
    assert parse_php("'" * 5000 + "\\" * 5000) == {}


def test_a_list_may_have_quotes_blanks_and_windows_line_ends():
    text = "A=1\r\nB = \"two\"\r\n export D='4'\nE==x=\nnothing\n"
    assert parse_list(text) == {"A": "1", "B": "two", "D": "4", "E": "=x="}


def test_a_comment_may_follow_a_value_in_quotes_and_only_such():
    text = "A='p w' # it's this\nB=\"x\"#y\"\nC=p # w\nD='a' 'b'\nE='\n"
    assert parse_list(text) == {"A": "p w", "B": 'x"#y', "C": "p # w", "D": "a' 'b", "E": "'"}


def test_nothing_is_found_where_there_is_nothing():
    assert find(files()) is None
    assert find(files(freepbx_conf="<?php ?>", amportal_conf="", issabel_conf="mysqlrootpwd=\n")) is None
    assert find(files(amportal_conf="AMPDBENGINE=sqlite3\nAMPDBUSER=u\n")) is None


def test_a_file_that_may_not_be_read_is_no_error():
    def read(path: str) -> str:
        raise PermissionError(path)

    assert find(read) is None


def test_the_password_is_shown_nowhere(caplog):
    with caplog.at_level(logging.DEBUG):
        found = find(files(freepbx_conf=FREEPBX.replace(r"p@ss:w/rd#%\'\"", "Geheim")))
    found = Credentials(found.source, "mysql", "u", "Geheim")
    for text in (repr(found), str(found), found.shown(), found.shown("ixxsms"), caplog.text):
        assert "Geheim" not in text
    assert found.shown("ixxsms") == "mysql://u@localhost/ixxsms"

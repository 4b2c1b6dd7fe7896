"""Jasmin with all its parts in one process, started by Jasmin's own Python.

Its own program holds a lock in /tmp, by which there is one Jasmin on a machine, and cannot say which ports it got.
Prints "PORTS smpp jcli" once it is ready. argv: the configuration file, and its other options.
"""

import signal
import sys

from jasmin.bin.jasmind import JasminDaemon, Options
from twisted.internet import reactor

PARTS = ("--enable-dlr-thrower", "--enable-dlr-lookup", "--disable-http-api")

options = Options()
options.parseOptions(["--config", *sys.argv[1:], *PARTS])
daemon = JasminDaemon(options)
signal.signal(signal.SIGTERM, daemon.sighandler_stop)


def ready(_):
    ports = [daemon.components[part].getHost().port for part in ("smpp-server", "jcli-server")]
    print("PORTS", *ports, flush=True)


reactor.callWhenRunning(lambda: daemon.start().addCallback(ready))
reactor.run()

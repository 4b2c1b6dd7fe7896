"""Public fakes for tests: an SMSC on a real loopback socket, and a driver that answers as it is told.

`with FakeSMSC() as smsc:` runs one; a trunk with host 127.0.0.1 and port `smsc.port` reaches it, `smsc.wait_for(1)`
waits for a message, `smsc.texts()` shows what came as (destination, text).
"""

from ixxsms.smpp.smsc import Login, Submitted
from ixxsms.testing.fake_smsc import FakeSMSC, serve
from ixxsms.testing.scripted_driver import ScriptedDriver

__all__ = ["FakeSMSC", "Login", "ScriptedDriver", "Submitted", "serve"]

"""Installing on a PBX: scripts, dialplan, manager user, service. Knows files; runs nothing.

Knows no database and none of our settings by more than their names: the face hands in a first configuration file.
"""

from ixxsms.asterisk.install.changes import Action
from ixxsms.asterisk.install.installing import Report, install
from ixxsms.asterisk.install.layout import Flavour
from ixxsms.asterisk.install.removing import uninstall

__all__ = ["Action", "Flavour", "Report", "install", "uninstall"]

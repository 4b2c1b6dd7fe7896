"""The SMS side of an Asterisk PBX."""

__version__ = "0.1.0"

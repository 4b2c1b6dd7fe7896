"""Edges to Asterisk. Nothing here knows our own database, its models or the configuration."""

"""`python -m mhdiff` is the command line."""

from mhdiff.cli import entry

entry()

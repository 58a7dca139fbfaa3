"""The command line: a thin layer that parses, calls and prints."""

import signal
import sys

# A reload that is asked for while the service starts does not end it. Before all other imports,
# which take a second.
if sys.argv[1:2] == ["serve"]:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

from patclass.cli.main import run

__all__ = ["run"]

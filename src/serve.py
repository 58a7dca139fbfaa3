"""The server of the original description: ``python src/serve.py`` answers on port 9000.

Flags are those of ``patclass serve``; ``--help`` lists them.
"""

from patclass.cli.main import run_command
from patclass.cli.serve import serve

if __name__ == "__main__":
    run_command(serve)

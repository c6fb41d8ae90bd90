"""`python -m runlore` is the command line."""

import sys

from runlore.cli.app import main

if __name__ == "__main__":  # Tools that look at modules import this one.
    sys.exit(main())

"""`python -m runlore`: the command line."""

import sys

from runlore.cli.app import main

sys.exit(main())

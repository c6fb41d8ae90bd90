"""`python -m runlore.cli`."""

import sys

from runlore.cli.app import main

sys.exit(main())

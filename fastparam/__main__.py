"""`python -m fastparam` is `fastparam`."""

import sys

from fastparam.cli import main

sys.exit(main())

"""``python -m worldmodel`` is the ``worldmodel`` command."""

import sys

from worldmodel.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

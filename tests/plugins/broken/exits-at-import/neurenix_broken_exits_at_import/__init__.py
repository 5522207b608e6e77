"""A plugin whose import ends the program."""

import sys

sys.exit("exits-at-import wants Python 2")

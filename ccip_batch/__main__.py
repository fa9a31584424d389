import sys

# `-m` puts the current folder first: what lies there must not stand in for modules of Python's
if not sys.flags.safe_path and __file__ != f"{sys.path[0]}/ccip_batch/__main__.py":
    del sys.path[0]

from ccip_batch.cli import main

main()

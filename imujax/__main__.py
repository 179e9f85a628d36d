"""`python -m imujax` is `imujax`."""

from imujax.cli import main

main()

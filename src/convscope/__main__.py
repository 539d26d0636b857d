"""`python -m convscope` is the command `convscope`."""

from convscope.cli import main

main()

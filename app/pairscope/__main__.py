"""``python -m pairscope``: the command line."""

from pairscope.cli import main

if __name__ == "__main__":
    main()

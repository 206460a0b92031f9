"""Lets `python -m warp_twisted.cli` stand in for the console script."""

from warp_twisted.cli.main import main

if __name__ == "__main__":
    main()

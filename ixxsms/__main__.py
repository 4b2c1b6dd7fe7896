"""python -m ixxsms: the same program as `ixxsms`."""

from ixxsms.cli import main

if __name__ == "__main__":
    main()

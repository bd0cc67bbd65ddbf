"""`python -m taskmesh`: the same as the command `taskmesh`."""

from taskmesh.cli.start import main

if __name__ == "__main__":
    main()

"""The command line: one file per group of commands; a command parses, calls the app, prints.

Imports anything; nothing imports it. `main` registers commands lazily, so that `taskmesh --help` is quick.
"""

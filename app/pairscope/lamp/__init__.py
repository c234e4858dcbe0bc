"""Pairscope under Apache and MariaDB: the files of ``deploy/`` filled in, and a private instance of both servers.

A box gets its files from here and runs them with the system's own servers; ``script/lamp`` and the tests run a
private Apache and a private MariaDB from the very same ones.
"""

"""Functions for the workers of a cluster, in a module that takes no time to import."""

import os


def version_of_old():
    return "0.0.1"


def double_or_die(item, dies):
    if item in dies:
        os._exit(1)
    return 2 * item

"""Kernels: grow."""


def ready():
    return True

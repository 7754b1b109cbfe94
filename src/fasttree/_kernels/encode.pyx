"""Kernels: encode."""


def ready():
    return True

"""Kernels: predict."""


def ready():
    return True

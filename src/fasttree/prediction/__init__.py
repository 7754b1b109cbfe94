"""Predicting: blocks of rows, single rows, whole ensembles."""

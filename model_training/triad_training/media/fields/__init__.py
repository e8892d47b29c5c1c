"""Columns of a record: numbers and categories."""

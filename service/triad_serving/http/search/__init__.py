"""The routes of indexes: search, rows, and their media."""

"""`triad init`: a look at a table, and the config that suits it."""

"""Several machines: the service and the scoring of tables on a Ray cluster. Needs the extra `ray`."""

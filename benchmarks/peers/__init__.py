"""The same model behind other servers, one file each, with what it installs in its first lines (PEP 723)."""

"""Who may ask: API keys, other sites' pages, what browsers may do with an answer."""

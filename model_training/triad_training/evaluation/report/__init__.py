"""The page that judges a model: `page.write_report` gathers everything else here."""

"""An answer drawn for people: `compose` says what is shown; `html`, `png` and `terminal` draw it."""

"""Small constants that data and models must agree on."""

# The token id that fills a short sentence up; masks are derived from it.
PAD_ID = 0
UNDRAWN = 255  # class number of a pixel that nobody drew

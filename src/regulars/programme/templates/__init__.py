"""Ready programmes to begin with; `regulars programme new` writes them."""

"""All that agents read, in each language of the experiment: one folder of catalogues a language."""

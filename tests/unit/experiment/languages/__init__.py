"""The catalogues of texts in three languages."""

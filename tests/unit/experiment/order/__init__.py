"""Who speaks when: the rules of the order, over whatever rounds."""

"""What all providers share: the values of a call, the pooled client, and the reading of streams."""

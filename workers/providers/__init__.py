"""Language-model providers behind :class:`ProviderFactory`."""

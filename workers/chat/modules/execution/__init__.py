"""How one module is carried out: as text, as a script, as a script that calls models."""

"""The language of scripts, rule by rule, in this process."""

"""What gateway and workers both speak: settings, wire schemas, database, the life of a job, security."""

__version__ = "0.1.0"

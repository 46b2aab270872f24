"""Postgres: tables, migrations, and one repository for each aggregate."""

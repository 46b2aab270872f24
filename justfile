# What is typed daily. `just` lists the recipes; each is one command that works without just, too.

_list:
    @just --list

# The whole stack in the foreground.
up *args:
    .venv/bin/parley up {{args}}

# The main suite, or a part of it.
test *args:
    .venv/bin/python -m pytest {{args}}

# Faults under load, judged by the history checker.
chaos:
    .venv/bin/python -m pytest tests/chaos -m slow

# Style, types and import rules.
lint:
    scripts/lint

# Format and mend what can be mended.
fix:
    .venv/bin/ruff check --fix . && .venv/bin/ruff format .

# Latency, throughput, cancel times and memory beside a direct proxy; modules and scripts.
bench *args:
    .venv/bin/python -m tests.benchmarks {{args}}

# Renew the locked versions.
lock:
    uv pip compile --universal --python-version 3.11 --all-extras pyproject.toml --no-annotate --custom-compile-command 'just lock' --upgrade --output-file requirements.lock

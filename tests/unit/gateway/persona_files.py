"""Personas' files of every kind, for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from shared.schemas.module import ModuleCreate
from shared.schemas.persona import History, PersonaCreate
from shared.schemas.persona_file import PersonaFile, PersonaImage
from tests.unit.cards.samples import PIXEL

_SPIKES = st.lists(
    st.sampled_from(
        ["@", "\\", "${x}", "\n", "\r\n", "\t", " ", "#", ": ", "- ", "'", '"', "é", "🙂", "no", "1.0"]
    ),
    max_size=8,
).map("".join)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30) | _SPIKES
NAMES = st.lists(st.from_regex(r"[a-c][a-c0-9_]{0,4}", fullmatch=True), unique=True, max_size=4)
LINE = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20)
# Postgres keeps numbers as decimals: a larger float comes back as an integer that is not quite the same.
NUMBER = st.integers(-(2**53), 2**53) | st.floats(-1e15, 1e15)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def persona_files(draw: st.DrawFn) -> PersonaFile:
    """A file whose persona reaches each of its modules, which are simple and sorted by name."""
    names = sorted(draw(NAMES))
    modules = [
        ModuleCreate(
            name=name,
            description=draw(st.none() | TEXT),
            content=draw(st.none() | TEXT | st.sampled_from([f"x @{other}" for other in names])),
            execution_context=draw(st.sampled_from(["IMMEDIATE", "POST_RESPONSE", "ON_DEMAND"])),
            trigger_pattern=draw(st.sampled_from([None, "", "*", "rain|snow", r"\bx+\b"])),
            priority=draw(st.integers(-1000, 1000)),
            fallback=draw(st.none() | TEXT),
            state_scope=draw(st.sampled_from(["conversation", "persona"])),
            is_active=draw(st.booleans()),
        )
        for name in names
    ]
    limits = st.none() | st.integers(0, 1000)
    persona = PersonaCreate(
        name=draw(LINE),
        description=draw(st.none() | TEXT),
        template="\n".join([draw(TEXT), "You are.", *(f"@{name}" for name in names)]),
        first_message=draw(st.none() | TEXT.filter(str.strip)),
        history=draw(st.none() | st.builds(History, max_messages=limits, max_tokens=limits)),
        extra_data=draw(st.dictionaries(TEXT, JSON, max_size=3)),
        is_active=draw(st.booleans()),
    )
    image = draw(st.sampled_from([None, PersonaImage.of("image/png", PIXEL)]))
    return PersonaFile(persona=persona, modules=modules, image=image)

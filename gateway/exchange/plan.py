"""What an import would make: the names that things get, and the file rewritten for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.exchange.renaming import UnfollowedNameError, rename_references, rename_run_modules
from shared.errors import ValidationError
from shared.schemas import template
from shared.schemas.module import ModuleCreate
from shared.schemas.persona_file import ImportAction, PersonaFile, unique_name


@dataclass(frozen=True, slots=True)
class Present:
    """What the owner has already.

    Attributes:
        persona: the file of the persona that has the file's name, without its modules.
        free_persona_name: a name that is free, made of the file's.
        modules: those that have a name of the file's modules, or that these refer to.
        module_names: the names of all.
    """

    persona: PersonaFile | None
    free_persona_name: str
    modules: Mapping[str, ModuleCreate]
    module_names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens to the persona and to each module, and the file as it will be stored."""

    persona: ImportAction
    modules: tuple[ImportAction, ...]
    #: With the new names in place.
    file: PersonaFile
    #: Old name of each module that gets a new one, and the new one.
    names: Mapping[str, str]
    notes: tuple[str, ...]

    @property
    def conflicts(self) -> list[str]:
        """The fields whose names are taken by something else."""
        fields = ["persona.name"] if self.persona == "conflict" else []
        return fields + [
            f"modules.{index}.name" for index, action in enumerate(self.modules) if action == "conflict"
        ]

    @property
    def makes_nothing(self) -> bool:
        """Whether all of it is there already."""
        return self.persona == "same" and set(self.modules) <= {"same"}


def make_plan(
    file: PersonaFile, run_names: Mapping[str, Sequence[str]], present: Present, *, rename: bool
) -> Plan:
    """Compare ``file`` with what is there.

    Args:
        file: what was sent.
        run_names: for each advanced module, the names that its script gives to ``run_module``.
        present: what is there.
        rename: give free names to what would conflict; else it stays a conflict.

    Raises:
        ValidationError: a name would change that cannot be changed everywhere.
    """
    different = {
        module.name
        for module in file.modules
        if module.name in present.modules and present.modules[module.name] != module
    }
    names = _new_names(file, run_names, present, different) if rename else {}
    modules = []
    actions: list[ImportAction] = []
    for index, module in enumerate(file.modules):
        modules.append(_renamed(module, index, names, run_names.get(module.name, ())))
        if module.name in names:
            actions.append("renamed")
        elif module.name in different:
            actions.append("conflict")
        else:
            actions.append("same" if module.name in present.modules else "create")
    persona = file.persona.model_copy(
        update={"template": _followed(file.persona.template, names, "persona.template")}
    )
    made = file.model_copy(update={"persona": persona, "modules": modules})
    action: ImportAction = "create"
    if present.persona is not None:
        alike = present.persona.persona == persona and present.persona.image == file.image
        if alike and set(actions) <= {"same"}:
            action = "same"
        elif rename:
            action = "renamed"
            persona.name = present.free_persona_name
        else:
            action = "conflict"
    return Plan(action, tuple(actions), made, names, tuple(_notes(file, run_names, present)))


def _new_names(
    file: PersonaFile, run_names: Mapping[str, Sequence[str]], present: Present, different: set[str]
) -> dict[str, str]:
    """Names for the modules that differ from those of their name, and for all that refer to one of these."""
    changed = set(different)
    while True:
        more = {
            module.name
            for module in file.modules
            if module.name in present.modules
            and module.name not in changed
            and not changed.isdisjoint(_refers_to(module, run_names))
        }
        if not more:
            break
        changed |= more
    taken = set(present.module_names) | {module.name for module in file.modules}
    names: dict[str, str] = {}
    for module in file.modules:
        if module.name in changed:
            names[module.name] = unique_name(module.name, taken)
            taken.add(names[module.name])
    return names


def _refers_to(module: ModuleCreate, run_names: Mapping[str, Sequence[str]]) -> set[str]:
    return {*template.names(module.content or ""), *run_names.get(module.name, ())}


def _renamed(
    module: ModuleCreate, index: int, names: Mapping[str, str], run_names: Sequence[str]
) -> ModuleCreate:
    if not names:
        return module
    changes: dict[str, str] = {}
    if module.name in names:
        changes["name"] = names[module.name]
    if module.content is not None:
        changes["content"] = _followed(module.content, names, f"modules.{index}.content")
    if module.script is not None and not names.keys().isdisjoint(run_names):
        try:
            changes["script"] = rename_run_modules(module.script, names)
        except UnfollowedNameError as error:
            raise unfollowed(f"modules.{index}.script", str(error)) from error
    return module.model_copy(update=changes)


def _followed(text: str, names: Mapping[str, str], field: str) -> str:
    try:
        return rename_references(text, names) if names else text
    except UnfollowedNameError as error:
        raise unfollowed(field, str(error)) from error


def unfollowed(field: str, why: str) -> ValidationError:
    """The refusal of an import whose new names cannot be written into ``field``."""
    message = f"names a module that would be renamed, and cannot be changed with it: {why}"
    return ValidationError(
        f"{field}: {message}; rename the module in the file, or the one that is here",
        errors=[{"field": field, "message": message}],
    )


def _notes(file: PersonaFile, run_names: Mapping[str, Sequence[str]], present: Present) -> list[str]:
    inside = {module.name for module in file.modules}
    wanted = dict.fromkeys(template.names(file.persona.template))
    for module in file.modules:
        wanted |= dict.fromkeys([*template.names(module.content or ""), *run_names.get(module.name, ())])
    notes = []
    if yours := [name for name in wanted if name not in inside and name in present.module_names]:
        notes.append(f"the file does not bring these modules that it names; yours are used: {_list(yours)}")
    if missing := [name for name in wanted if name not in inside and name not in present.module_names]:
        notes.append(f"the file names these modules, which are neither in it nor here: {_list(missing)}")
    return notes


def _list(names: list[str]) -> str:
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return ", ".join(names[:20]) + more

"""The script's variables, its surroundings, and other modules."""

from __future__ import annotations

from typing import Any

from workers.sandbox.plugins.context import PluginContext
from workers.sandbox.plugins.errors import CallError
from workers.sandbox.plugins.registry import plugin_function, plugin_registry


@plugin_function(category="state")
def get_variable(context: PluginContext, name: str, default: Any = None) -> Any:
    """A variable: as this run set it, else the module's own, else another module's; or ``default``."""
    return context.variables.get(name, default)


@plugin_function(category="state")
def set_variable(context: PluginContext, name: str, value: Any) -> None:
    """Keep a JSON value as one of the module's variables, for its next runs too.

    It is kept when the run succeeds; a run that fails leaves the variables as they were.
    """
    context.variables.set(name, value)


@plugin_function(category="state")
def get_all_variables(context: PluginContext) -> dict[str, Any]:
    """Every variable that ``get_variable`` can give, by name."""
    return context.variables.all()


@plugin_function(category="state")
def get_available_functions(context: PluginContext) -> list[str]:
    """The names of the functions of ``ctx``, sorted."""
    del context
    return list(plugin_registry().names())


@plugin_function(category="state")
def has_function(context: PluginContext, name: str) -> bool:
    """Whether ``ctx`` has a function of this name."""
    del context
    return name in plugin_registry().names()


@plugin_function(category="state")
async def run_module(context: PluginContext, name: str) -> dict[str, Any]:
    """Run a module by its name, with or without ``@``; gives ``{"text": …, "variables": {…}}``.

    The text is what ``@name`` in a template would show. A module runs once a turn: one that ran already
    gives what it gave then. Raises ``LookupError`` when there is no such active module, ``RecursionError``
    with the path when modules run each other in a circle or too deep.
    """
    if context.run_module is None:
        raise CallError(
            "RuntimeError", "run_module(): no other module can be run here; run this one in a turn"
        )
    output = await context.run_module(name.removeprefix("@"))
    return {"text": output.text, "variables": dict(output.variables)}


@plugin_function(category="state")
def debug_prompt_state(context: PluginContext, detailed: bool = False) -> dict[str, Any]:
    """Where the turn stands, and how long its prompt is after each stage so far; with ``detailed`` the texts.

    Keys: ``module_name, stage, reflection_depth, visible_length, reply_length``, and ``stages``: by number
    ``{length}``. ``detailed`` adds ``visible_prompt``, ``reply``, and ``text`` in each stage.
    """
    stages: dict[str, dict[str, Any]] = {
        str(stage): {"length": len(text)} for stage, text in sorted(context.prompts.items())
    }
    state: dict[str, Any] = {
        "module_name": context.module_name,
        "stage": context.stage,
        "reflection_depth": context.reflection_depth,
        "visible_length": None if context.visible_prompt is None else len(context.visible_prompt),
        "reply_length": None if context.reply is None else len(context.reply),
        "stages": stages,
    }
    if detailed:
        for stage, text in context.prompts.items():
            stages[str(stage)]["text"] = text
        state |= {"visible_prompt": context.visible_prompt, "reply": context.reply}
    return state

"""Which functions a script calls, seen through its assignments."""

from __future__ import annotations

import pytest

from workers.sandbox.language import compile_script

CALLS = [
    "ctx.generate('x')",
    "await ctx.generate('x')",
    "ctx.reflect('x')",
    "generate('x')",
    "reflect('x')",
    "g = ctx.generate\ng('x')",
    "c = ctx\nc.reflect('x')",
    "a, b = 1, ctx.generate\nb('x')",
    "(a, [b]) = (1, [ctx.generate])\nb('x')",
    "first, *rest = [1, ctx.generate]\nrest[0]('x')",
    "def f(g=ctx.generate):\n    return g('x')\nf()",
    "def f(g=ctx.generate):\n    return g('x')",
    "f = lambda g=generate: g('x')\nf()",
    "def f(*, g=ctx.generate): return g('x')",
    "getattr(ctx, 'generate')('x')",
    "g = getattr(ctx, 'reflect', None)\nif g: g('x')",
    "name = 'generate'\ngetattr(ctx, name)('x')",
    "getattr(ctx, 'gene' + 'rate')('x')",
    "def f(c): return c.generate('x')\nf(ctx)",
    "def f(g): return g('x')\nf(ctx.generate)",
    "def f(g): return g('x')\nf(g=ctx.generate)",
    "def f(*gs): return gs[0]('x')\nf(ctx.generate)",
    "def f(**gs): return gs['a']('x')\nf(a=ctx.generate)",
    "list(map(ctx.generate, ['x']))",
    "tools = {'g': ctx.generate}\ntools['g']('x')",
    "tools = {}\ntools['g'] = ctx.generate\ntools['g']('x')",
    "tools = []\ntools.append(generate)\nfor t in tools: t('x')",
    "[t('x') for t in [ctx.generate]]",
    "class A:\n  def __init__(self, c): self.c = c\n  def go(self): return self.c.generate('x')\nA(ctx).go()",
    "n = 'gene' + 'rate'\ngetattr(ctx, n)('x')",
    "n = f'gen{1}'\ngetattr(ctx, n)('x')",
    "class A:\n    g = ctx.generate\nA.g('x')",
    "def make():\n    return ctx.generate\nmake()('x')",
    "def make():\n    def inner(): return generate('x')\n    return inner\nmake()()",
    "(g := ctx.generate)('x')",
    "g = ctx.generate if ctx.stage else None\ng('x')",
    "g = None or ctx.generate\ng('x')",
    "generate = ctx.generate\ngenerate('x')",
    "def run():\n    global g\n    g = ctx.generate\nrun()\ng('x')",
    "def f():\n  g = None\n  def put():\n    nonlocal g\n    g = ctx.generate\n  put()\n  g('x')",
    "x: str = ctx.generate('x')",
    "text = f\"{ctx.generate('x')}\"",
    "try:\n    pass\nexcept ctx.GenerationError:\n    pass\nfinally:\n    ctx.generate('x')",
    "@ctx.generate\ndef f(): pass",
    "async def f(): return await ctx.generate('x')\nawait f()",
    "d = [ctx.generate('x')]",
]

NO_CALLS = [
    "x = 1",
    "x = 'generate'",
    "ctx.generate_title('x')",
    "ctx.regenerate('x')",
    "ctx.set_variable('generate', 'reflect')",
    "g = ctx.generate",
    "has = hasattr(ctx, 'generate')",
    "# ctx.generate('x')",
    "'''ctx.generate('x')'''",
    "def generate(x): return x\ny = generate('a')",
    "generate = len\ny = generate('a')",
    "class A:\n    def generate(self): return 1\nA().generate()",
    "def f(generate): return generate('x')\nf(len)",
    "x = ctx.generate is None",
    "print(ctx.generate)",
    "raise ctx.GenerationError('x')",
    "thing = {}\nthing.get('generate')",
    "ctx.run_module('reflect')",
]


@pytest.mark.parametrize("source", CALLS)
def test_a_model_call_is_seen(source: str) -> None:
    assert compile_script(source).analysis.requires_ai_inference


@pytest.mark.parametrize("source", NO_CALLS)
def test_no_model_call_is_imagined(source: str) -> None:
    assert not compile_script(source).analysis.requires_ai_inference


def test_functions_and_modules_and_imports_are_listed_sorted() -> None:
    source = (
        "import re\nfrom math import pi\n"
        "ctx.set_variable('a', ctx.get_message_count())\n"
        "ctx.run_module('mood')\nname = 'weather'\nctx.run_module(name=name)\n"
        "ctx.run_module('@plans')\n"
        "for other in ['diary', 'Not A Name']:\n    ctx.run_module(other)\n"
    )
    analysis = compile_script(source).analysis
    assert analysis.functions == ("get_message_count", "run_module", "set_variable")
    assert analysis.module_names == ("diary", "mood", "plans", "weather")
    assert analysis.imports == ("math", "re")
    assert analysis.has_loops
    assert not analysis.has_conditionals


@pytest.mark.parametrize(
    ("source", "complexity"),
    [
        ("x = 1", "low"),
        ("\n\n\nx = 1\n\n\n\n", "low"),
        ("for i in range(3):\n    print(i)\nif i: pass", "medium"),
        ("\n".join(f"x{i} = len('{i}')" for i in range(60)), "high"),
    ],
)
def test_complexity(source: str, complexity: str) -> None:
    assert compile_script(source).analysis.complexity == complexity


def test_a_tangle_of_names_is_followed_or_taken_for_a_call() -> None:
    chain = "\n".join(f"a{i} = a{i + 1}" for i in range(40)) + "\na40 = ctx.generate\na0('x')\n"
    assert compile_script(chain).analysis.requires_ai_inference


def test_the_links_of_a_chain_of_calls_are_followed_once() -> None:
    """Twice each would take 2 ** 60 steps."""
    assert compile_script("x = ctx.get_variable('a')" + ".b()" * 60).analysis.functions == ("get_variable",)


def test_analysis_as_json() -> None:
    told = compile_script("x = generate('a')").analysis.as_json()
    assert told == {
        "requires_ai_inference": True,
        "functions": ["generate"],
        "module_names": [],
        "imports": [],
        "lines": 1,
        "has_loops": False,
        "has_conditionals": False,
        "complexity": "low",
    }

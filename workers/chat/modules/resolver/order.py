"""The order of a turn's modules, and how deep they lie in one another; of a graph without circles."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence

from workers.chat.modules.module import Module
from workers.chat.modules.resolver.node import Node


def stated_order(modules: Mapping[str, Module], nodes: Mapping[str, Node]) -> list[str]:
    """The names of ``modules``: dependencies first; of what is free the lowest priority, then the first name.

    Every node is told its rank.
    """
    waits: dict[str, int] = {}
    frees: dict[str, list[str]] = {}
    for name, node in nodes.items():
        needs = {*node.children, *node.calls}
        if needs:
            waits[name] = len(needs)
            for other in needs:
                frees.setdefault(other, []).append(name)
    free = [(module.priority, name) for name, module in modules.items() if name not in waits]
    heapq.heapify(free)
    order: list[str] = []
    while free:
        _, name = heapq.heappop(free)
        if name in nodes:
            nodes[name].rank = len(order)
        order.append(name)
        for other in frees.get(name, ()):
            waits[other] -= 1
            if not waits[other]:
                heapq.heappush(free, (modules[other].priority, other))
    return order


def limit_depth(
    nodes: Mapping[str, Node], finished: Sequence[str], roots: Iterable[str], limit: int
) -> Iterator[tuple[str, str, list[str]]]:
    """Take out references that lie deeper than ``limit``, on the longest way that leads to them.

    Gives the module, what it refers to, and the way; of those only that a way from ``roots`` still leads to.

    Args:
        nodes: the graph.
        finished: names of nodes, dependencies first.
        roots: what the template itself shows, at depth 1.
        limit: how deep contents may lie in one another.
    """
    led_to = set(roots)
    for name in reversed(finished):
        node = nodes[name]
        if node.depth < limit:
            for child in node.children:
                below = nodes[child]
                if below.depth <= node.depth:
                    below.depth, below.above = node.depth + 1, name
        else:
            node.left_out.update(node.children)
            for child in node.children if name in led_to else ():
                yield name, child, [*_way(nodes, name), child]
            node.children.clear()
        if name in led_to:
            led_to.update(node.children, node.calls)


def limit_nesting(
    nodes: Mapping[str, Node], finished: Sequence[str], started: Iterable[str], limit: int
) -> None:
    """Refuse calls that nest deeper than ``limit``, on the longest way that leads to them.

    Args:
        nodes: the graph.
        finished: names of nodes, dependencies first.
        started: modules that the pipeline runs itself, which therefore nest in nothing.
        limit: how deep ``run_module`` nests.
    """
    free = set(started)
    for node in nodes.values():
        node.nesting, node.caller = 0, None
    for name in reversed(finished):
        node = nodes[name]
        for target in (*node.calls, *node.children):
            deeper = node.nesting + (target in node.calls)
            if deeper > limit:
                path = " > ".join((*_callers(nodes, name), target))
                node.refused[target] = f"modules run one another at most {limit} deep: {path}"
            elif target not in free and deeper > nodes[target].nesting:
                nodes[target].nesting, nodes[target].caller = deeper, name


def _way(nodes: Mapping[str, Node], name: str) -> list[str]:
    way = [name]
    while (above := nodes[way[-1]].above) is not None:
        way.append(above)
    return way[::-1]


def _callers(nodes: Mapping[str, Node], name: str) -> list[str]:
    way = [name]
    while (caller := nodes[way[-1]].caller) is not None:
        way.append(caller)
    return way[::-1]

"""What the chart made, by kind and name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

COMPONENT = "app.kubernetes.io/component"
Object = dict[str, Any]


@dataclass(frozen=True)
class Rendered:
    """The objects of one rendering."""

    objects: list[Object]

    def of(self, kind: str) -> list[Object]:
        """All of a kind."""
        return [made for made in self.objects if made["kind"] == kind]

    def named(self, kind: str, name: str) -> Object:
        """The one of a kind with a name."""
        (found,) = [made for made in self.of(kind) if made["metadata"]["name"] == name]
        return found

    def pods(self) -> dict[str, Object]:
        """The template of each role's pod, by component."""
        made = [*self.of("Deployment"), *self.of("Job")]
        templates = [owner["spec"]["template"] for owner in made]
        return {template["metadata"]["labels"][COMPONENT]: template for template in templates}

    def containers(self) -> dict[str, Object]:
        """The container of each role, by component."""
        containers = {}
        for component, pod in self.pods().items():
            (containers[component],) = pod["spec"]["containers"]
        return containers

    def environment(self, component: str) -> dict[str, str]:
        """The variables of a role: those of the ConfigMap, then its own."""
        container = self.containers()[component]
        found: dict[str, str] = {}
        for source in container.get("envFrom", []):
            found |= self.named("ConfigMap", source["configMapRef"]["name"])["data"]
        return found | {variable["name"]: variable["value"] for variable in container["env"]}

    def secret_files(self, component: str) -> Iterator[tuple[str, str, str]]:
        """Path, Secret and key of each file that a role gets from a Secret."""
        pod = self.pods()[component]["spec"]
        (container,) = pod["containers"]
        folders = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        for volume in pod["volumes"]:
            if secret := volume.get("secret"):
                for item in secret["items"]:
                    yield f"{folders[volume['name']]}/{item['path']}", secret["secretName"], item["key"]


def is_hook(made: Object) -> bool:
    """Whether an object comes before the others."""
    return "helm.sh/hook" in made["metadata"].get("annotations", {})

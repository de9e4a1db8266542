"""All that is put into a cluster for one stack, and where it is to be reached then."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from harness.environments.images import ResolvedImage
from harness.environments.kube.access import account_objects
from harness.environments.kube.additions import Additions
from harness.environments.kube.discovery import PORT as DISCOVERY_PORT
from harness.environments.kube.discovery_probe import knows_kubernetes
from harness.environments.kube.kind_cluster import GPU_DIR
from harness.environments.kube.shared_gpu import GPU_FILE
from harness.environments.kube.state import ClusterState
from harness.environments.kube.storage import Storage
from harness.environments.kube.translation import translate
from harness.environments.kube.vocabulary import CAPTURE_SERVICE, labelled
from harness.environments.receiver import RECEIVER_LABEL
from harness.stack import Rendered, Stack, Workload, render_alertmanager, render_prometheus

# What a mapping calls the image that holds the harness's own package, and locust.
OWN_IMAGE = "model-serving/workloads"
# The namespaces that no cluster is without.
EVERY_CLUSTERS = frozenset({"default", "kube-node-lease", "kube-public", "kube-system"})
_NO_DISCOVERY = (
    "Prometheus's own Kubernetes discovery: this image is built without it; a container in its pod asks the API server "
    "with its account, and hands the targets over by HTTP discovery with the same labels"
)


@dataclass(frozen=True, slots=True)
class Installation:
    """A stack, with the images its pods run, for the cluster a state describes."""

    stack: Stack
    images: Mapping[str, ResolvedImage]
    state: ClusterState
    own: ResolvedImage

    def objects(
        self,
        storage: Storage,
        *,
        discovers: bool,
        by_operator: bool = False,
        existing: Collection[str] = EVERY_CLUSTERS,
    ) -> tuple[list[Mapping[str, Any]], tuple[str, ...]]:
        """Every object in the order of making, and what was changed or left out.

        ``discovers``: whether Prometheus asks the Kubernetes API itself. ``by_operator``: whether the cluster's
        operator makes Prometheus and Alertmanager. ``existing``: the cluster's namespaces. They are not made, and so
        never get the run's label, by which namespaces are deleted with all that is in them.
        """
        rendered = self._render(None if discovers else f"http://127.0.0.1:{DISCOVERY_PORT}/targets")
        additions = Additions(
            run=self.state.run_label,
            time_scale=self.state.time_scale,
            image=self._image,
            gpu_dir=GPU_DIR if self.state.gpu_file else None,
            gpu_file=GPU_FILE,
            storage=storage,
            by_operator=by_operator,
            lent=self.state.namespaces if self.state.lent else None,
            discovery_image=None if discovers else self.own.reference,
        )
        translation = translate(self.stack, rendered, additions)
        namespaces = [each for each in translation.objects if each["kind"] == "Namespace"]
        others = [each for each in translation.objects if each["kind"] != "Namespace"]
        account = [
            labelled(each, self.state.run_label)
            for each in account_objects(self.state.namespaces, self.state.own_namespace, lent=self.state.lent)
        ]
        notes = [] if by_operator else [note for part in rendered.values() for note in part.notes]
        notes += [] if discovers else [_NO_DISCOVERY]
        made = [each for each in [*namespaces, *account, *others] if not _is_namespace(each, existing)]
        return made, (*notes, *translation.notes)

    def paths(self) -> dict[str, Any]:
        """Where everything is below the URL of the API, as fields of the state."""
        prometheus, alertmanager = self._operated("prometheus"), self._operated("alertmanager")
        receiver = self._receiver()
        return {
            "prometheus_path": _pod_path(prometheus[0], prometheus[0].pod_names()[0]),
            "prometheus_pod": prometheus[0].pod_names()[0],
            "alertmanager_paths": tuple(_pod_path(each, name) for each in alertmanager for name in each.pod_names()),
            "receiver_paths": (_service_path(receiver.namespace, CAPTURE_SERVICE, 8080),),
            "service_paths": {
                each.target(port): _service_path(each.namespace, each.name, port.port)
                for each in self.stack.services
                for port in each.ports
                if not each.headless
            },
        }

    def _render(self, discovery_url: str | None) -> Mapping[str, Rendered]:
        capture = f"http://{CAPTURE_SERVICE}.{self._receiver().namespace}.svc:8080/captured"
        scale = self.state.time_scale
        return {
            "prometheus": render_prometheus(self.stack, None, time_scale=scale, discovery_url=discovery_url),
            "alertmanager": render_alertmanager(
                self.stack, time_scale=scale, capture_url=capture, host_addresses={}, in_cluster=True
            ),
        }

    def _image(self, name: str) -> tuple[str, bool]:
        found = self.images.get(name)
        found = self.own if found is None and name == self.own.reference else found
        return (found.reference, found.pull) if found else (name, True)

    def discovers_itself(self) -> bool:
        """Whether the Prometheus image was built with Kubernetes discovery, as upstream's is and Debian's is not.

        Raises HarnessError when the image cannot be asked.
        """
        image = self.images[self._operated("prometheus")[0].containers[0].image]
        return image.build is None or knows_kubernetes(image.reference)

    def _operated(self, program: str) -> list[Workload]:
        return [each for each in self.stack.workloads if each.operated and each.containers[0].name == program]

    def _receiver(self) -> Workload:
        return next(each for each in self.stack.workloads if RECEIVER_LABEL.items() <= each.labels.items())


def _is_namespace(manifest: Mapping[str, Any], names: Collection[str]) -> bool:
    return manifest["kind"] == "Namespace" and manifest["metadata"]["name"] in names


def _pod_path(workload: Workload, pod: str) -> str:
    port = next(iter(workload.containers[0].ports.values()))
    return f"/api/v1/namespaces/{workload.namespace}/pods/{pod}:{port}/proxy{workload.root}"


def _service_path(namespace: str, name: str, port: int) -> str:
    return f"/api/v1/namespaces/{namespace}/services/{name}:{port}/proxy"

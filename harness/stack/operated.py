"""Prometheus and Alertmanager objects → the workloads and Services the operator makes of them.

Source of names, labels, ports and flags: the operator's StatefulSets (prometheus-operator,
pkg/prometheus/server and pkg/alertmanager). What differs: the programs listen on the pod's own address, and
the configuration lies directly in ``/etc/prometheus`` and ``/etc/alertmanager``, since no reloader copies
it there.
"""

from __future__ import annotations

from harness.clock import parse_duration
from harness.spec import Peers
from harness.stack.alertmanager_manifests import AlertmanagerManifest, AlertmanagerSpec
from harness.stack.inventory import Found
from harness.stack.objects import Container, EnvVar, HttpProbe, Mount, Service, ServicePort, Volume, Workload
from harness.stack.operator_manifests import OperatedSpec, PrometheusManifest, PrometheusSpec
from harness.stack.quantities import parse_bytes
from harness.stack.workloads import claim_volume

CONFIGURATION_VOLUME = "config"
_POD_IP = EnvVar("POD_IP", field_path="status.podIP")
_WEB_PORTS = {"prometheus": 9090, "alertmanager": 9093}
MESH_PORT = 9094


def prometheus_workload(found: Found[PrometheusManifest]) -> Workload:
    """The pods of a Prometheus; flags that depend on the time scale are added by whoever renders."""
    spec = found.manifest.spec
    return _workload(found, spec, "prometheus", _prometheus_args(spec), {})


def alertmanager_workload(found: Found[AlertmanagerManifest]) -> Workload:
    """The pods of an Alertmanager; the peers' addresses and the cluster's timings are added by whoever
    renders.
    """
    spec = found.manifest.spec
    mesh = {"tcp-mesh": MESH_PORT} if _clustered(spec) else {}
    return _workload(found, spec, "alertmanager", _alertmanager_args(spec), mesh)


def alertmanager_peers(found: Found[AlertmanagerManifest]) -> Peers | None:
    """The replicas, where they gossip; a single one does only when told to."""
    spec = found.manifest.spec
    if not _clustered(spec):
        return None
    workload = alertmanager_workload(found)
    return Peers(workload.namespace, workload.name, spec.replicas, parse_duration(spec.cluster_peer_timeout))


def _clustered(spec: AlertmanagerSpec) -> bool:
    return spec.replicas != 1 or spec.force_enable_cluster_mode


def operated_services(workload: Workload) -> tuple[Service, ...]:
    """The headless governing Service of an operated workload."""
    program = workload.containers[0].name
    return (
        Service(
            namespace=workload.namespace,
            name=f"{program}-operated",
            labels={f"operated-{program}": "true", "managed-by": "prometheus-operator"},
            selector={"app.kubernetes.io/name": program},
            ports=tuple(ServicePort(name, port, name) for name, port in workload.containers[0].ports.items()),
            headless=True,
        ),
    )


def _workload(
    found: Found[PrometheusManifest] | Found[AlertmanagerManifest],
    spec: OperatedSpec,
    program: str,
    args: list[str],
    further_ports: dict[str, int],
) -> Workload:
    name = found.manifest.metadata.name
    port = _WEB_PORTS[program]
    data = _data_volume(spec, f"{program}-{name}-db")
    root = spec.route_prefix.rstrip("/")
    container = Container(
        name=program,
        image=spec.image or f"prom/{program}",
        command=(program,),
        args=tuple(args),
        env=(_POD_IP, EnvVar("POD_NAME", field_path="metadata.name")),
        ports={spec.port_name: port, **further_ports},
        mounts=(
            Mount(CONFIGURATION_VOLUME, f"/etc/{program}", "", True),
            Mount(data.name, f"/{program}", "", False),
        ),
        readiness=HttpProbe(f"{root}/-/ready", port, period_s=5.0, timeout_s=3.0, failure_threshold=3),
        liveness=HttpProbe(f"{root}/-/healthy", port, period_s=5.0, timeout_s=3.0, failure_threshold=6),
        limits=dict(spec.resources.limits),
    )
    return Workload(
        namespace=found.manifest.metadata.namespace,
        name=f"{program}-{name}",
        kind="StatefulSet",
        replicas=spec.replicas,
        labels={**spec.pod_metadata.labels, **_labels(program, name)},
        annotations=dict(spec.pod_metadata.annotations),
        containers=(container,),
        init_containers=(),
        volumes=(Volume(CONFIGURATION_VOLUME, "files", "", None), data),
        restart_policy="Always",
        service_account=spec.service_account_name,
        operated=True,
        where=str(found.place),
        root=root,
    )


def _labels(program: str, name: str) -> dict[str, str]:
    labels = {
        "app.kubernetes.io/name": program,
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/managed-by": "prometheus-operator",
        program: name,
    }
    if program == "prometheus":
        labels |= {"operator.prometheus.io/name": name, "operator.prometheus.io/shard": "0"}
    return labels


def _data_volume(spec: OperatedSpec, name: str) -> Volume:
    template = spec.storage.volume_claim_template
    if template is not None:
        return claim_volume(template, template.metadata.name or name)
    limit = spec.storage.empty_dir.size_limit if spec.storage.empty_dir else None
    return Volume(name, "empty_dir", "", parse_bytes(limit) if limit else None)


def _common_args(spec: OperatedSpec) -> list[str]:
    args = [f"--web.external-url={spec.external_url}"] if spec.external_url else []
    args.append(f"--web.route-prefix={spec.route_prefix}")
    args += [f"--log.level={spec.log_level}"] if spec.log_level else []
    return args + ([f"--log.format={spec.log_format}"] if spec.log_format else [])


def _prometheus_args(spec: PrometheusSpec) -> list[str]:
    args = [
        "--config.file=/etc/prometheus/prometheus.yml",
        "--storage.tsdb.path=/prometheus",
        f"--web.listen-address=$(POD_IP):{_WEB_PORTS['prometheus']}",
        "--web.enable-lifecycle",
    ]
    # The operator keeps one day when the object names neither a time nor a size.
    retention = spec.retention or (None if spec.retention_size else "24h")
    args += [f"--storage.tsdb.retention.time={retention}"] if retention else []
    args += [f"--storage.tsdb.retention.size={spec.retention_size}"] if spec.retention_size else []
    args += ["--web.enable-admin-api"] if spec.enable_admin_api else []
    args += [f"--enable-feature={','.join(spec.enable_features)}"] if spec.enable_features else []
    query = spec.query
    args += [f"--query.max-concurrency={query.max_concurrency}"] if query.max_concurrency else []
    args += [f"--query.max-samples={query.max_samples}"] if query.max_samples else []
    args += [f"--query.timeout={query.timeout}"] if query.timeout else []
    return args + _common_args(spec)


def _alertmanager_args(spec: AlertmanagerSpec) -> list[str]:
    cluster = f"$(POD_IP):{MESH_PORT}" if _clustered(spec) else ""
    return [
        "--config.file=/etc/alertmanager/alertmanager.yml",
        "--storage.path=/alertmanager",
        f"--data.retention={spec.retention}",
        f"--web.listen-address=$(POD_IP):{_WEB_PORTS['alertmanager']}",
        f"--cluster.listen-address={cluster}",
        *_common_args(spec),
    ]

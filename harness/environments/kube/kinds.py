"""Kinds of objects: which of them lie in no namespace, and what kubectl calls them."""

from __future__ import annotations

from harness.environments.kube.vocabulary import Manifest

OPERATOR_GROUP = "monitoring.coreos.com"
# All of Kubernetes' own groups, by the API references of 1.18 to 1.34; the operator's kinds lie in namespaces.
CLUSTER_SCOPED = frozenset(
    {
        *("Namespace", "Node", "PersistentVolume"),
        *("APIService", "CustomResourceDefinition", "StorageVersion", "StorageVersionMigration"),
        *("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"),
        *(f"{how}AdmissionPolicy{what}" for how in ("Mutating", "Validating") for what in ("", "Binding")),
        *("CertificateSigningRequest", "ClusterTrustBundle"),
        *("ClusterRole", "ClusterRoleBinding", "PodSecurityPolicy"),
        *("FlowSchema", "PriorityClass", "PriorityLevelConfiguration", "RuntimeClass"),
        *("ClusterCIDR", "IPAddress", "IngressClass", "ServiceCIDR"),
        *("CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"),
        *("DeviceClass", "DeviceTaintRule", "ResourceSlice"),
    }
)


def kubectl_kind(manifest: Manifest) -> str:
    """``Kind.group``, which kubectl takes for whichever version the cluster serves; ``Kind`` in the core group."""
    group, slash, _ = str(manifest["apiVersion"]).rpartition("/")
    return f"{manifest['kind']}.{group}" if slash else str(manifest["kind"])


def lies_in_namespace(kind: str) -> bool:
    """Whether objects of a kind, with its group or without, lie in a namespace."""
    return kind.partition(".")[0] not in CLUSTER_SCOPED

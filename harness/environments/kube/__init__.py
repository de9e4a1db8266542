"""Stands a stack up in a Kubernetes cluster: one made with kind, or any that a kube context names."""

//! The authority: issue certificates, load and reload them. Knows nothing of Kubernetes.

//! Kubernetes client (in-process and HTTP), informers and work queues

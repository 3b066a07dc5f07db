//! Node agents: simulated kubelets on a timer wheel

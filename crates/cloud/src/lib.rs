//! Node pools and the cloud controller manager, written once over the provider seam

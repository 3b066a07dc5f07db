//! The cloud provider seam: capability traits, errors and the conformance suite

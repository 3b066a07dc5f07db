//! Versioned key-value store with watches: the seam, its engines and its conformance suite

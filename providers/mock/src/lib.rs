//! A cloud in memory, with the delays and faults of a real one

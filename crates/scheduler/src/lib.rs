//! The scheduler: a pure decision over a snapshot, and the loop around it

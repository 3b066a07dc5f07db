//! Tasks, clock, shutdown gates and fault points: the only place that spawns or tells the time

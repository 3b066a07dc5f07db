//! What a built-in kind does beyond its schema: strategies, validation, printer columns

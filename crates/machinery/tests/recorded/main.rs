//! What real 1.36 servers answered, compared with what the catalog, the decoder and OpenAPI say.
//!
//! The recordings lie beside the repository, in `shared`; a test that finds none says so and has nothing to compare.

mod discovery;
mod fidelity;
mod openapi;
mod shared;

//! One tenant's API server: request pipeline, registry, watch cache, discovery

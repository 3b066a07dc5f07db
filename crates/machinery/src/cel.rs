//! What CEL needs of Kubernetes: objects as values, and the libraries of quantities and named formats.
//!
//! [`from_json`] shows a tree to expressions without copying it; [`to_json`] goes back. [`library`] has every function
//! of Kubernetes' base environment; [`compile_device_selector`] has the environment of those that select devices.

mod devices;
mod formats;
mod json;
mod quantities;

use std::sync::LazyLock;

use drydock_cel::library::Library;

pub use devices::{DEVICE_SELECTOR_MAX_COST, DeviceSelector, compile_device_selector};
pub use json::{from_json, to_json};

/// Every function that Kubernetes' expressions may call.
pub fn library() -> &'static Library {
    static LIBRARY: LazyLock<Library> =
        LazyLock::new(|| Library::standard().with(quantities::FUNCTIONS).with(formats::FUNCTIONS));
    &LIBRARY
}

#[cfg(test)]
mod tests;

//! Places where tests make things go wrong.
//!
//! Code names a point (`fault::point("store.commit.before_sync")?`); a test arms it. Nothing is armed in production,
//! and an unarmed point costs one relaxed load. `DRYDOCK_FAULTS=name=error,name2=abort` arms points of a whole process,
//! which is how the kill tests stop the service at a chosen place.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

/// What an armed point does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Fails with [`Injected`].
    Error,
    /// Fails once, then the point is as if unarmed.
    ErrorOnce,
    /// Ends the process at once, as `kill -9` would.
    Abort,
}

/// The error of an armed point.
#[derive(Debug, thiserror::Error)]
#[error("injected fault at {0}")]
pub struct Injected(pub &'static str);

static ANY_ARMED: AtomicBool = AtomicBool::new(false);
static ARMED: Mutex<Option<HashMap<String, Fault>>> = Mutex::new(None);

/// Passes unless a test armed `name`.
///
/// # Errors
/// [`Injected`] when armed to fail.
pub fn point(name: &'static str) -> Result<(), Injected> {
    if !ANY_ARMED.load(Ordering::Relaxed) {
        return Ok(());
    }
    let mut armed = ARMED.lock();
    let Some(points) = armed.as_mut() else { return Ok(()) };
    match points.get(name) {
        None => Ok(()),
        Some(Fault::Error) => Err(Injected(name)),
        Some(Fault::ErrorOnce) => {
            points.remove(name);
            Err(Injected(name))
        }
        Some(Fault::Abort) => std::process::abort(),
    }
}

/// Arms a point for this process.
pub fn arm(name: &str, fault: Fault) {
    ARMED.lock().get_or_insert_default().insert(name.to_owned(), fault);
    ANY_ARMED.store(true, Ordering::Relaxed);
}

/// Disarms a point.
pub fn disarm(name: &str) {
    if let Some(points) = ARMED.lock().as_mut() {
        points.remove(name);
    }
}

/// Arms what `DRYDOCK_FAULTS` names: `point=error|error-once|abort`, separated by commas.
///
/// # Errors
/// The entry that is not of that form.
pub fn arm_from(text: &str) -> Result<(), String> {
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let fault = match entry.split_once('=') {
            Some((_, "error")) => Fault::Error,
            Some((_, "error-once")) => Fault::ErrorOnce,
            Some((_, "abort")) => Fault::Abort,
            _ => return Err(format!("fault {entry:?} is not POINT=error|error-once|abort")),
        };
        arm(entry.split_once('=').map_or(entry, |(name, _)| name), fault);
    }
    Ok(())
}

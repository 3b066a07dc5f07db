//! From a watch request to a watcher of the cache.

use std::sync::Arc;
use std::time::Duration;

use drydock_machinery::Status;

use super::{Call, Registry, Selection, options};
use crate::cache::{Watcher, WatcherStart};

/// How long a watch runs when the client does not say: upstream's `--min-request-timeout` and up to twice that.
const DEFAULT_TIMEOUT_SECONDS: u64 = 1800;

/// # Errors
/// As the client sees it; an expired revision is an error here, which HTTP sends as an event.
pub(crate) async fn watch(registry: &Arc<Registry>, call: &Call) -> Result<Watcher, Status> {
    let given = &call.request.options;
    let selection = Selection::new(&call.resource, &call.request)?;
    options::check_list(given, true)?;
    let start = start(registry, call).await?;
    let seconds = given
        .timeout_seconds
        .filter(|seconds| *seconds > 0)
        .unwrap_or_else(|| DEFAULT_TIMEOUT_SECONDS + rand::random::<u64>() % DEFAULT_TIMEOUT_SECONDS);
    let cache = registry.cache.by_prefix(&call.resource.prefix);
    let timeout = Duration::from_secs(seconds);
    let watcher = Watcher::start(&registry.cache, cache, Box::new(selection), start, timeout).await?;
    let watcher = watcher.with_bookmarks(given.allow_watch_bookmarks);
    Ok(match &call.resource.custom {
        Some(custom) => watcher.until(custom.outdated.clone()),
        None => watcher,
    })
}

async fn start(registry: &Registry, call: &Call) -> Result<WatcherStart, Status> {
    let given = &call.request.options;
    let revision = match given.resource_version.as_str() {
        "" => None,
        text => Some(options::revision_of_one(text)?).filter(|revision| *revision > 0),
    };
    if given.send_initial_events == Some(true) {
        registry.reach(revision.unwrap_or(0)).await?;
        let bookmarks = given.allow_watch_bookmarks;
        return Ok(if bookmarks { WatcherStart::NowWithEnd } else { WatcherStart::Now });
    }
    match revision {
        Some(revision) => {
            // One that is still to come is waited for in silence.
            let is_reached = registry.reach(revision).await.is_ok();
            let now = registry.cache.revision();
            Ok(WatcherStart::After(if is_reached { revision } else { now }))
        }
        None if given.send_initial_events == Some(false) => {
            Ok(WatcherStart::After(registry.cache.revision()))
        }
        None => Ok(WatcherStart::Now),
    }
}

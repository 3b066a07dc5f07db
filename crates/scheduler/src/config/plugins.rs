//! Which plugins a profile asks at each extension point.
//!
//! As upstream: a profile's `multiPoint` changes the default set; each set that results is spread over the points that
//! its plugins extend, and what a profile says of a single point comes before that.

use drydock_machinery::document::Fields;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use super::{REMOVED, VERSION};
use crate::plugin::{ABSENT, DEFAULT, Plugin, Point};

/// What became of a profile's `plugins`.
pub(super) struct Selection {
    pub(super) points: [Vec<Plugin>; Point::ALL.len()],
    /// For those that score; of several entries for a plugin the first counts.
    pub(super) weights: Vec<(Plugin, i64)>,
}

/// An extension point's `enabled` and `disabled`.
#[derive(Default)]
struct Set {
    enabled: Vec<Enabled>,
    disabled: Vec<String>,
}

#[derive(Clone)]
struct Enabled {
    plugin: Plugin,
    weight: i64,
    path: FieldPath,
}

impl Set {
    fn disables(&self, name: &str) -> bool {
        self.disabled.iter().any(|disabled| disabled == name)
    }
}

/// Reads the field `plugins` of the profile called `name`.
pub(super) fn read(profile: &mut Fields<'_>, name: &str, errors: &mut FieldErrors) -> Selection {
    let path = profile.child("plugins");
    let mut given = profile.object("plugins", errors);
    let mut set = |point: Option<Point>, errors: &mut FieldErrors| {
        let field = point.map_or("multiPoint", Point::field);
        let set = given.as_mut().and_then(|plugins| plugins.object(field, errors));
        set.map(|set| read_set(set, point, errors)).unwrap_or_default()
    };
    let multi_point = merged(set(None, errors));
    let sets = Point::ALL.map(|point| set(Some(point), errors));
    if let Some(given) = given {
        given.finish(errors);
    }
    let mut weights: Vec<(Plugin, i64)> = Vec::new();
    let of_scores = &sets[Point::Score as usize].enabled;
    weights.extend(of_scores.iter().chain(&multi_point).map(|one| (one.plugin, one.weight)));
    let mut reported = Vec::new();
    let mut points: [Vec<Plugin>; Point::ALL.len()] = Default::default();
    for (point, set) in Point::ALL.into_iter().zip(sets) {
        points[point as usize] = expanded(point, set, &multi_point, &mut reported, errors);
    }
    check_whole(&points, &path, name, errors);
    Selection { points, weights }
}

fn read_set(mut fields: Fields<'_>, point: Option<Point>, errors: &mut FieldErrors) -> Set {
    let mut set = Set::default();
    for mut entry in fields.objects("enabled", errors) {
        let path = entry.path().clone();
        let (name, weight) = (entry.text("name", errors), entry.integer("weight", errors).unwrap_or(0));
        entry.finish(errors);
        let Some(plugin) = Plugin::parse(name) else {
            refuse(name, point, &path, errors);
            continue;
        };
        if let Some(point) = point.filter(|point| !plugin.extends(*point)) {
            let why = format!("plugin {name:?} does not extend {} plugin", point.interface());
            errors.invalid(&path, name, why);
        } else if point.is_some() && set.enabled.iter().any(|earlier| earlier.plugin == plugin) {
            errors.invalid(&path, name, registered_twice(plugin, point));
        } else {
            set.enabled.push(Enabled { plugin, weight, path });
        }
    }
    for mut entry in fields.objects("disabled", errors) {
        set.disabled.push(entry.text("name", errors).to_owned());
        // Upstream's type is the same.
        entry.integer("weight", errors);
        entry.finish(errors);
    }
    fields.finish(errors);
    set
}

fn registered_twice(plugin: Plugin, point: Option<Point>) -> String {
    let interface = point.map(Point::interface).unwrap_or_default();
    format!("plugin {:?} already registered as {interface:?}", plugin.name())
}

/// Says why the name at a point, or in `multiPoint`, is none of a plugin that can be used.
fn refuse(name: &str, point: Option<Point>, entry: &FieldPath, errors: &mut FieldErrors) {
    if point.is_some() && REMOVED.contains(&name) {
        errors.invalid(entry, name, was_removed());
    } else if ABSENT.contains(&name) {
        errors.invalid(entry, name, format!("plugin {name:?} is not supported"));
    } else {
        // As upstream, for which the first point stands for all of them.
        let interface = point.unwrap_or(Point::PreFilter).interface();
        errors.invalid(entry, name, format!("{interface} {name:?} does not exist"));
    }
}

/// The same of a name in `pluginConfig`.
pub(super) fn refuse_config(name: &str, entry: &FieldPath, errors: &mut FieldErrors) {
    if name.is_empty() {
        errors.required(&entry.child("name"), "");
    } else if REMOVED.contains(&name) {
        errors.invalid(entry, name, was_removed());
    } else if ABSENT.contains(&name) {
        errors.invalid(entry, name, format!("plugin {name:?} is not supported"));
    } else {
        errors.invalid(entry, name, format!("plugin {name:?} does not exist"));
    }
}

fn was_removed() -> String {
    // Upstream says it without the group.
    let (_, version) = VERSION.split_once('/').unwrap_or_default();
    format!("was invalid in version {version:?} (KubeSchedulerConfiguration is version {VERSION:?})")
}

/// As Go shows a `PluginSet`.
pub(super) fn shown(set: &Value) -> String {
    let list = |name: &str| {
        let entries = set.array_at(&[name]).iter().map(|entry| {
            let weight = entry.i64_at(&["weight"]).unwrap_or(0);
            format!("{{\"Name\":{:?},\"Weight\":{weight}}}", entry.str_at(&["name"]))
        });
        let entries: Vec<String> = entries.collect();
        if entries.is_empty() { "null".to_owned() } else { format!("[{}]", entries.join(",")) }
    };
    format!("{{\"Enabled\":{},\"Disabled\":{}}}", list("enabled"), list("disabled"))
}

/// The default set as `multiPoint` changes it. An entry of a default plugin takes its place.
fn merged(custom: Set) -> Vec<Enabled> {
    let mut out = Vec::new();
    let mut taken = Vec::new();
    if !custom.disables("*") {
        for (plugin, weight) in DEFAULT.into_iter().filter(|(plugin, _)| !custom.disables(plugin.name())) {
            // Of several the last one does, and the others are found to be too many.
            match custom.enabled.iter().rposition(|one| one.plugin == plugin) {
                Some(at) => {
                    taken.push(at);
                    out.push(custom.enabled[at].clone());
                }
                None => out.push(Enabled { plugin, weight, path: FieldPath::root() }),
            }
        }
    }
    let more = custom.enabled.into_iter().enumerate().filter(|(at, _)| !taken.contains(at));
    out.extend(more.map(|(_, one)| one));
    out
}

/// What is asked at a point: its own entries of plugins that `multiPoint` has, then the rest of those, then the rest of
/// its own.
fn expanded(
    point: Point,
    set: Set,
    multi_point: &[Enabled],
    reported: &mut Vec<Plugin>,
    errors: &mut FieldErrors,
) -> Vec<Plugin> {
    let own: Vec<Plugin> = set.enabled.iter().map(|one| one.plugin).collect();
    if set.disables("*") {
        return own;
    }
    let (mut overridden, mut others) = (Vec::new(), Vec::new());
    for one in multi_point {
        let plugin = one.plugin;
        if !plugin.extends(point) || set.disables(plugin.name()) {
            continue;
        }
        if own.contains(&plugin) {
            overridden.push(plugin);
        } else if others.contains(&plugin) {
            if !reported.contains(&plugin) {
                reported.push(plugin);
                errors.invalid(&one.path, plugin.name(), registered_twice(plugin, Some(point)));
            }
        } else {
            others.push(plugin);
        }
    }
    let (mut first, last): (Vec<_>, Vec<_>) = own.into_iter().partition(|one| overridden.contains(one));
    first.extend(others);
    first.extend(last);
    first
}

/// What all points together must have.
fn check_whole(
    points: &[Vec<Plugin>; Point::ALL.len()],
    path: &FieldPath,
    profile: &str,
    errors: &mut FieldErrors,
) {
    let at = |point: Point| &points[point as usize];
    let names = |point: Point| {
        let names: Vec<Value> = at(point).iter().map(|plugin| plugin.name().into()).collect();
        Value::from(names)
    };
    let sorting = at(Point::QueueSort).len();
    if sorting != 1 {
        let why = format!(
            "only one queue sort plugin required for profile with scheduler name {profile:?}, but got {sorting}"
        );
        errors.invalid(&path.child("queueSort"), names(Point::QueueSort), why);
    }
    if at(Point::Bind).is_empty() {
        let why = format!("at least one bind plugin is needed for profile with scheduler name {profile:?}");
        errors.invalid(&path.child("bind"), names(Point::Bind), why);
    }
    for point in [Point::Filter, Point::Score] {
        for plugin in at(point) {
            let needs = plugin.prepares_for(point).filter(|needed| !at(*needed).contains(plugin));
            let Some(needed) = needs else { continue };
            let why = format!(
                "plugin {:?} works out at {} what it needs at {}: enable or disable both",
                plugin.name(),
                needed.field(),
                point.field()
            );
            errors.invalid(&path.child(needed.field()), names(needed), why);
        }
    }
}

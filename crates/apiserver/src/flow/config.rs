//! The objects of flow control, compiled.

use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;

use drydock_auth::Attributes;
use drydock_machinery::{Object, ObjectMeta as _, Value};
use http::HeaderValue;

use super::TOTAL_SEATS;
use super::matching::Rule;

/// All schemas and levels at one time.
#[derive(Debug, Default)]
pub(super) struct Config {
    /// The revisions of the objects that this was made of.
    pub(super) versions: Option<(u64, u64)>,
    /// In the order of precedence. The last one matches everything.
    pub(super) schemas: Vec<Schema>,
    pub(super) levels: Vec<Arc<Level>>,
}

/// A FlowSchema.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) name: Arc<str>,
    pub(super) uid: HeaderValue,
    /// Its index in [`Config::levels`].
    pub(super) level: usize,
    precedence: i64,
    by: Distinguisher,
    rules: Vec<Rule>,
}

/// What tells flows of one schema apart.
#[derive(Clone, Copy, Debug)]
enum Distinguisher {
    Nothing,
    User,
    Namespace,
}

/// A PriorityLevelConfiguration.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) name: Arc<str>,
    pub(super) uid: HeaderValue,
    pub(super) limits: Option<Limits>,
}

/// What a level has that is not exempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Seats of its own.
    pub(super) nominal: u32,
    /// Of those, how many others may have while it does not need them.
    pub(super) lendable: u32,
    /// How many it may have of others.
    pub(super) borrowable: u32,
    /// None: what finds no seat is turned away.
    pub(super) queuing: Option<Queuing>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Queuing {
    pub(super) queues: usize,
    pub(super) hand: usize,
    pub(super) length: usize,
}

impl Level {
    pub(super) fn is_exempt(&self) -> bool {
        self.limits.is_none()
    }
}

impl Config {
    pub(super) fn new<'a>(
        schemas: impl Iterator<Item = &'a Arc<Object>>,
        levels: impl Iterator<Item = &'a Arc<Object>>,
        versions: (u64, u64),
    ) -> Self {
        let mut levels = compile_levels(&levels.collect::<Vec<_>>());
        let mut schemas: Vec<Schema> =
            schemas.filter_map(|object| Schema::new(object.value(), &levels)).collect();
        schemas.sort_by(|one, other| (one.precedence, &one.name).cmp(&(other.precedence, &other.name)));
        schemas.push(last_resort(&mut levels));
        Self { versions: Some(versions), schemas, levels }
    }
}

fn compile_levels(objects: &[&Arc<Object>]) -> Vec<Arc<Level>> {
    let shares = |object: &Object| match object.str_at(&["spec", "type"]) {
        "Exempt" => object.i64_at(&["spec", "exempt", "nominalConcurrencyShares"]).unwrap_or(0),
        _ => object.i64_at(&["spec", "limited", "nominalConcurrencyShares"]).unwrap_or(30),
    };
    let total: i64 = objects.iter().map(|object| shares(object).max(0)).sum();
    let level = |object: &&Arc<Object>| {
        let limits = (object.str_at(&["spec", "type"]) != "Exempt")
            .then(|| limits(object.value(), shares(object).max(0), total));
        Arc::new(Level { name: object.name().into(), uid: header(object.uid()), limits })
    };
    objects.iter().map(level).collect()
}

fn limits(object: &Value, shares: i64, total: i64) -> Limits {
    let percent = |of: u32, percent: i64| {
        u32::try_from((i64::from(of) * percent.max(0) + 50) / 100).unwrap_or(u32::MAX)
    };
    // Rounded up, so that every level with a share has a seat.
    let nominal = if total == 0 { 0 } else { (i64::from(TOTAL_SEATS) * shares + total - 1) / total };
    let nominal = u32::try_from(nominal).unwrap_or(TOTAL_SEATS);
    let limited = object.at(&["spec", "limited"]).cloned().unwrap_or_default();
    let borrowable = limited.i64_at(&["borrowingLimitPercent"]);
    Limits {
        nominal,
        lendable: percent(nominal, limited.i64_at(&["lendablePercent"]).unwrap_or(0)).min(nominal),
        borrowable: borrowable.map_or(TOTAL_SEATS, |limit| percent(nominal, limit)),
        queuing: queuing(&limited),
    }
}

fn queuing(limited: &Value) -> Option<Queuing> {
    if limited.str_at(&["limitResponse", "type"]) != "Queue" {
        return None;
    }
    let number = |field: &str, default: usize| {
        let given = limited.i64_at(&["limitResponse", "queuing", field]);
        given.and_then(|given| usize::try_from(given).ok()).unwrap_or(default)
    };
    // Validation keeps these within bounds; a hand is never larger than its deck.
    let queues = number("queues", 64).clamp(1, 10_000);
    let hand = number("handSize", 8).clamp(1, queues.min(64));
    Some(Queuing { queues, hand, length: number("queueLengthLimit", 50) })
}

/// `catch-all`, which matches what nothing else does, also while its objects are not there.
fn last_resort(levels: &mut Vec<Arc<Level>>) -> Schema {
    const NAME: &str = "catch-all";
    let level = levels.iter().position(|level| &*level.name == NAME).unwrap_or_else(|| {
        let limits = Limits { nominal: 13, lendable: 0, borrowable: TOTAL_SEATS, queuing: None };
        levels.push(Arc::new(Level { name: NAME.into(), uid: header(""), limits: Some(limits) }));
        levels.len() - 1
    });
    Schema {
        name: NAME.into(),
        uid: header(""),
        level,
        precedence: i64::MAX,
        by: Distinguisher::User,
        rules: vec![Rule::everything()],
    }
}

impl Schema {
    /// None when its level does not exist: such a schema matches nothing.
    fn new(object: &Value, levels: &[Arc<Level>]) -> Option<Self> {
        let wanted = object.str_at(&["spec", "priorityLevelConfiguration", "name"]);
        let level = levels.iter().position(|level| &*level.name == wanted)?;
        Some(Self {
            name: object.name().into(),
            uid: header(object.uid()),
            level,
            precedence: object.i64_at(&["spec", "matchingPrecedence"]).unwrap_or(1000),
            by: match object.str_at(&["spec", "distinguisherMethod", "type"]) {
                "ByUser" => Distinguisher::User,
                "ByNamespace" => Distinguisher::Namespace,
                _ => Distinguisher::Nothing,
            },
            rules: object.array_at(&["spec", "rules"]).iter().map(Rule::new).collect(),
        })
    }

    pub(super) fn matches(&self, attributes: &Attributes<'_>) -> bool {
        self.rules.iter().any(|rule| rule.matches(attributes))
    }

    /// Which flow of this schema a request belongs to.
    pub(super) fn flow_hash(&self, attributes: &Attributes<'_>) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        self.name.hash(&mut hasher);
        match self.by {
            Distinguisher::Nothing => {}
            Distinguisher::User => attributes.user.name.hash(&mut hasher),
            Distinguisher::Namespace => attributes.namespace.hash(&mut hasher),
        }
        hasher.finish()
    }
}

fn header(uid: &str) -> HeaderValue {
    HeaderValue::from_str(uid).unwrap_or(HeaderValue::from_static(""))
}

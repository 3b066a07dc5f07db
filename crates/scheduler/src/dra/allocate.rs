//! The search for devices: for each claim, for each of its requests, one device after the other.
//!
//! The first solution is taken. Devices are tried in the order of their pools' and slices' names, so that drivers can
//! say by names what is to be used first. What was chosen is taken back when nothing that follows goes with it.

use std::collections::{HashMap, HashSet};
use std::ops::Deref;
use std::sync::Arc;

use drydock_machinery::{Object, ObjectMeta};

use super::Devices;
use super::allocated::Allocated;
use super::capacity::{Amounts, consumption, has_room};
use super::constraint::Constraint;
use super::counters::Counters;
use super::pool::{Health, Pool, pools};
use super::request::{Amount, ClaimSpec, Request};
use super::slice::{Device, Reach, Slice};

/// Devices that a claim can have.
const MOST_DEVICES: usize = 32;
/// Devices that a search looks at before it gives up. Upstream ends it after ten seconds.
const MOST_LOOKS: usize = 500_000;

/// Claims that are to get devices on a node.
#[derive(Clone, Copy)]
pub(super) struct Problem<'a> {
    pub(super) devices: &'a Devices,
    pub(super) node: &'a Object,
    pub(super) claims: &'a [ClaimSpec],
    pub(super) allocated: &'a Allocated,
}

/// Why a search has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// On this node.
    Node(String),
    /// Claims or classes are at fault: no node is looked at any more.
    Claim(String),
}

/// For each claim the devices, and for each of its requests the alternative that they are for.
#[derive(Debug)]
pub(super) struct Solution {
    pub(super) devices: Vec<Vec<Picked>>,
    pub(super) chosen: Vec<Vec<usize>>,
}

/// A device that was chosen.
#[derive(Debug)]
pub(super) struct Picked {
    pub(super) slot: Slot,
    pub(super) device: DeviceRef,
    /// What it uses up of a device that others may use as well.
    pub(super) consumed: Option<Amounts>,
    place: Place,
    drew_on_counters: bool,
}

/// A request, or an alternative to it, of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Slot {
    pub(super) claim: usize,
    pub(super) request: usize,
    pub(super) alternative: usize,
}

/// Where a device is among the pools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Place {
    pool: usize,
    slice: usize,
    device: usize,
}

/// A device, kept by its slice.
#[derive(Clone, Debug)]
pub(super) struct DeviceRef {
    pub(super) slice: Arc<Slice>,
    device: usize,
}

impl Deref for DeviceRef {
    type Target = Device;

    fn deref(&self) -> &Device {
        &self.slice.devices[self.device]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    Impossible,
    /// It would be more devices than a claim can have, whichever were chosen before.
    TooMany,
}

/// Finds devices for all claims at once; None when there are none.
///
/// # Errors
/// Why it cannot be known.
pub(super) fn allocate(problem: Problem<'_>) -> Result<Option<Solution>, Failure> {
    let mut search = Search::new(problem);
    search.prepare().map_err(Failure::Claim)?;
    match search.request(0, 0).map_err(Failure::Claim)? {
        Outcome::Done => Ok(Some(Solution { devices: search.picked, chosen: search.chosen })),
        _ if search.pools.iter().any(|pool| pool.health == Health::Invalid) => {
            Err(Failure::Node("invalid resource pools were encountered".to_owned()))
        }
        _ => Ok(None),
    }
}

struct Search<'a> {
    problem: Problem<'a>,
    pools: Vec<Pool>,
    constraints: Vec<Vec<Constraint>>,
    /// How many devices each request gets.
    counts: HashMap<Slot, usize>,
    /// For requests of all devices, which these are.
    all: HashMap<Slot, Vec<Place>>,
    selectable: HashMap<(Slot, Place), bool>,
    /// By pool.
    counters: HashMap<usize, Counters>,
    /// The claims that get a device for themselves.
    taken: HashMap<Place, HashSet<usize>>,
    /// What is used up of devices that several have.
    shared: HashMap<Place, Vec<Amounts>>,
    picked: Vec<Vec<Picked>>,
    chosen: Vec<Vec<usize>>,
    looks: usize,
}

impl<'a> Search<'a> {
    fn new(problem: Problem<'a>) -> Self {
        let claims = problem.claims;
        Self {
            pools: pools(&problem.devices.slices, problem.node),
            problem,
            constraints: Vec::new(),
            counts: HashMap::new(),
            all: HashMap::new(),
            selectable: HashMap::new(),
            counters: HashMap::new(),
            taken: HashMap::new(),
            shared: HashMap::new(),
            picked: claims.iter().map(|_| Vec::new()).collect(),
            chosen: claims.iter().map(|claim| vec![0; claim.requests.len()]).collect(),
            looks: 0,
        }
    }

    /// Finds out how many devices are wanted, and what they must have in common.
    fn prepare(&mut self) -> Result<(), String> {
        let claims = self.problem.claims;
        for (number, claim) in claims.iter().enumerate() {
            let mut least_of_claim = 0usize;
            for (request, alternatives) in claim.requests.iter().enumerate() {
                let mut least = usize::MAX;
                for alternative in 0..alternatives.len() {
                    let slot = Slot { claim: number, request, alternative };
                    let count = self.count(slot)?;
                    self.counts.insert(slot, count);
                    least = least.min(count);
                }
                least_of_claim = least_of_claim.saturating_add(least);
            }
            if least_of_claim > MOST_DEVICES {
                return Err(format!(
                    "claim {}: number of requested devices {least_of_claim} exceeds the claim limit of {MOST_DEVICES}",
                    claim.key
                ));
            }
            let unknown = |i| {
                format!(
                    "claim {}, constraint #{i}: empty constraint (unsupported constraint type?)",
                    claim.key
                )
            };
            let constraints = claim.constraints.iter().enumerate();
            let constraints = constraints.map(|(i, one)| Constraint::new(one).ok_or_else(|| unknown(i)));
            self.constraints.push(constraints.collect::<Result<_, _>>()?);
        }
        Ok(())
    }

    fn count(&mut self, slot: Slot) -> Result<usize, String> {
        match self.wish(slot).amount {
            Amount::Count(count) => Ok(count),
            Amount::All => {
                let all = self.all_devices(slot)?;
                let count = all.len();
                self.all.insert(slot, all);
                Ok(count)
            }
        }
    }

    fn all_devices(&mut self, slot: Slot) -> Result<Vec<Place>, String> {
        let about =
            format!("claim {}, request {}", self.problem.claims[slot.claim].key, self.wish(slot).name());
        let mut all = Vec::new();
        for pool in 0..self.pools.len() {
            let why = match self.pools[pool].health {
                Health::Good => None,
                Health::Incomplete => Some("being updated"),
                Health::Invalid => Some("invalid"),
            };
            if let Some(why) = why {
                let id = self.pools[pool].id();
                return Err(format!(
                    "{about}: asks for all devices, but resource pool {id} is currently {why}"
                ));
            }
            for place in self.places_of(pool, Place::default()) {
                if self.is_selectable(slot, place)? && self.has_room(slot, place) {
                    all.push(place);
                }
            }
        }
        Ok(all)
    }

    fn wish(&self, slot: Slot) -> &'a Request {
        &self.problem.claims[slot.claim].requests[slot.request][slot.alternative]
    }

    fn device(&self, place: Place) -> DeviceRef {
        DeviceRef { slice: self.pools[place.pool].slices[place.slice].clone(), device: place.device }
    }

    /// The places of a pool's devices from `start` on, where that is in the pool.
    fn places_of(&self, pool: usize, start: Place) -> Vec<Place> {
        let slices = self.pools[pool].slices.iter().enumerate();
        let places = slices
            .flat_map(|(slice, of)| (0..of.devices.len()).map(move |device| Place { pool, slice, device }));
        places.filter(|place| *place >= start).collect()
    }

    /// Goes on with a request, or with the next claim after the last one.
    fn request(&mut self, claim: usize, request: usize) -> Result<Outcome, String> {
        let Some(spec) = self.problem.claims.get(claim) else { return Ok(Outcome::Done) };
        let Some(alternatives) = spec.requests.get(request) else {
            return Ok(match self.request(claim + 1, 0)? {
                // Other alternatives of this claim make no difference to the next one's number.
                Outcome::TooMany => Outcome::Impossible,
                other => other,
            });
        };
        let mut outcome = Outcome::TooMany;
        for alternative in 0..alternatives.len() {
            let slot = Slot { claim, request, alternative };
            match self.next_device(slot, 0, Place::default())? {
                Outcome::Done => {
                    self.chosen[claim][request] = alternative;
                    return Ok(Outcome::Done);
                }
                Outcome::Impossible => outcome = Outcome::Impossible,
                Outcome::TooMany => {}
            }
        }
        Ok(outcome)
    }

    /// Goes on with the device number `index` of a request, looking from `start` on: the order in which a request has
    /// its devices makes no difference.
    fn next_device(&mut self, slot: Slot, index: usize, start: Place) -> Result<Outcome, String> {
        let all = self.all.get(&slot).map(Vec::len);
        if all == Some(0) {
            return Ok(Outcome::Impossible);
        }
        let count = self.counts.get(&slot).copied().unwrap_or(0);
        if index >= count {
            return self.request(slot.claim, slot.request + 1);
        }
        if self.picked[slot.claim].len() + count - index > MOST_DEVICES {
            return Ok(Outcome::TooMany);
        }
        if all.is_some() {
            let place = self.all[&slot][index];
            return self.with_device(slot, place, index, Place::default(), true);
        }
        for pool in start.pool..self.pools.len() {
            if self.pools[pool].health != Health::Good {
                continue;
            }
            for place in self.places_of(pool, start) {
                self.looks += 1;
                if self.looks > MOST_LOOKS {
                    return Err(format!(
                        "node {}: timed out trying to allocate devices",
                        self.problem.node.name()
                    ));
                }
                if !self.is_free(slot, place)
                    || !self.is_selectable(slot, place)?
                    || !self.has_room(slot, place)
                {
                    continue;
                }
                let rest = Place { device: place.device + 1, ..place };
                match self.with_device(slot, place, index, rest, false)? {
                    Outcome::Impossible => {}
                    other => return Ok(other),
                }
            }
        }
        Ok(Outcome::Impossible)
    }

    /// Chooses the device and goes on; takes it back when that leads nowhere. `is_only` says that no other will do.
    fn with_device(
        &mut self,
        slot: Slot,
        place: Place,
        index: usize,
        rest: Place,
        is_only: bool,
    ) -> Result<Outcome, String> {
        if !self.pick(slot, place, is_only)? {
            return Ok(Outcome::Impossible);
        }
        let outcome = self.next_device(slot, index + 1, rest);
        if outcome != Ok(Outcome::Done) {
            self.put_back(slot);
        }
        outcome
    }

    fn is_free(&self, slot: Slot, place: Place) -> bool {
        let claims = self.taken.get(&place);
        if self.wish(slot).admin_access {
            return !claims.is_some_and(|claims| claims.contains(&slot.claim));
        }
        claims.is_none_or(HashSet::is_empty)
            && !self.problem.allocated.devices.contains(&self.device(place).id)
    }

    fn is_selectable(&mut self, slot: Slot, place: Place) -> Result<bool, String> {
        if let Some(known) = self.selectable.get(&(slot, place)) {
            return Ok(*known);
        }
        let device = self.device(place);
        let request = self.wish(slot);
        let Problem { devices, node, claims, .. } = self.problem;
        let matches = |selectors: &[String], about: &dyn Fn() -> String| -> Result<bool, String> {
            for (i, expression) in selectors.iter().enumerate() {
                let matches = devices.selectors.matches(expression, &device);
                if !matches.map_err(|error| format!("{}: selector #{i}: {error}", about()))? {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        let class = devices.class_selectors(&request.class);
        let selectable = matches(&class, &|| format!("class {}", request.class))?
            && matches(&request.selectors, &|| format!("claim {}", claims[slot.claim].key))?
            && (!matches!(device.slice.reach, Reach::PerDevice) || device.reach.includes(node));
        self.selectable.insert((slot, place), selectable);
        Ok(selectable)
    }

    fn has_room(&self, slot: Slot, place: Place) -> bool {
        let device = self.device(place);
        let sum = self.shared.get(&place).map(|all| {
            let mut sum = Amounts::new();
            for (name, amount) in all.iter().flatten() {
                sum.entry(name.clone()).and_modify(|sum| *sum += amount).or_insert_with(|| amount.clone());
            }
            sum
        });
        let in_use = self.problem.allocated.capacity.get(&device.id);
        has_room(&device, &self.wish(slot).capacity, [in_use, sum.as_ref()])
    }

    /// Whether the device can be chosen; then it is.
    ///
    /// # Errors
    /// When it cannot, though all devices are wanted.
    fn pick(&mut self, slot: Slot, place: Place, is_only: bool) -> Result<bool, String> {
        let device = self.device(place);
        let request = self.wish(slot);
        if (!device.is_shared || !request.admin_access) && !self.is_free(slot, place) {
            return Ok(false);
        }
        if prevents(&device, request) || !self.has_room(slot, place) {
            return Ok(false);
        }
        let is_open = device.is_shared && self.is_in_shared_use(place, &device);
        let draws = !device.consumes.is_empty() && !is_open;
        if draws && !self.counters_of(place.pool).take(&device) {
            return Ok(false);
        }
        if !self.constrain(slot, &device) {
            if draws {
                self.counters_of(place.pool).give_back(&device);
            }
            if is_only {
                let claim = &self.problem.claims[slot.claim].key;
                let (request, device) = (request.name(), &device.id);
                return Err(format!(
                    "claim {claim}, request {request}: cannot add device {device} because a claim constraint would not be satisfied"
                ));
            }
            return Ok(false);
        }
        let consumed = device.is_shared.then(|| consumption(&device, &request.capacity));
        match &consumed {
            Some(amounts) => self.shared.entry(place).or_default().push(amounts.clone()),
            None => drop(self.taken.entry(place).or_default().insert(slot.claim)),
        }
        let picked = Picked { slot, device, consumed, place, drew_on_counters: draws };
        self.picked[slot.claim].push(picked);
        Ok(true)
    }

    /// Takes back the device that was chosen last for the claim.
    fn put_back(&mut self, slot: Slot) {
        let Some(picked) = self.picked[slot.claim].pop() else { return };
        let request = self.wish(slot);
        self.constraints[slot.claim].iter_mut().for_each(|constraint| constraint.remove(request));
        if picked.drew_on_counters {
            self.counters_of(picked.place.pool).give_back(&picked.device);
        }
        if picked.consumed.is_some() {
            if let Some(amounts) = self.shared.get_mut(&picked.place) {
                amounts.pop();
            }
        } else if let Some(claims) = self.taken.get_mut(&picked.place) {
            claims.remove(&slot.claim);
        }
    }

    /// Whether all constraints agree to the device; then they count it.
    fn constrain(&mut self, slot: Slot, device: &Device) -> bool {
        let request = self.wish(slot);
        let constraints = &mut self.constraints[slot.claim];
        for i in 0..constraints.len() {
            if !constraints[i].add(request, device) {
                constraints[..i].iter_mut().for_each(|constraint| constraint.remove(request));
                return false;
            }
        }
        true
    }

    fn is_in_shared_use(&self, place: Place, device: &Device) -> bool {
        self.problem.allocated.capacity.contains_key(&device.id)
            || self.shared.get(&place).is_some_and(|amounts| !amounts.is_empty())
    }

    fn counters_of(&mut self, pool: usize) -> &mut Counters {
        let allocated = self.problem.allocated;
        let of = &self.pools[pool];
        self.counters.entry(pool).or_insert_with(|| Counters::new(of, |device| allocated.has(&device.id)))
    }
}

/// Whether a taint keeps the request from the device.
fn prevents(device: &Device, request: &Request) -> bool {
    let mut taints =
        device.taints.iter().filter(|taint| matches!(taint.str_at(&["effect"]), "NoSchedule" | "NoExecute"));
    taints.any(|taint| {
        !request.tolerations.iter().any(|toleration| {
            let agrees = |field: &str| toleration.str_at(&[field]) == taint.str_at(&[field]);
            let empty = |field: &str| toleration.str_at(&[field]).is_empty();
            let value = match toleration.str_at(&["operator"]) {
                "Exists" => true,
                "" | "Equal" => agrees("value"),
                _ => false,
            };
            value && (empty("effect") || agrees("effect")) && (empty("key") || agrees("key"))
        })
    })
}

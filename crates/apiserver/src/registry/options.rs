//! Checks of the options that come with a request, in upstream's words.

use drydock_client::{Options, PatchType, Request, Verb};
use drydock_machinery::status::{Reason, StatusCause, StatusDetails};
use drydock_machinery::{FieldErrors, FieldPath, Status};

/// # Errors
/// 422 that names the options' kind.
pub(crate) fn check(request: &Request) -> Result<(), Status> {
    let options = &request.options;
    let mut errors = FieldErrors::new();
    let kind = match request.verb {
        Verb::Get | Verb::List => return Ok(()),
        Verb::Create => "CreateOptions",
        Verb::Update => "UpdateOptions",
        Verb::Patch(_) => "PatchOptions",
        Verb::Delete | Verb::DeleteCollection => "DeleteOptions",
    };
    match request.verb {
        Verb::Delete | Verb::DeleteCollection => check_delete(options, &mut errors),
        Verb::Patch(patch) => {
            check_force(options, patch, &mut errors);
            check_write(options, &mut errors);
        }
        _ => check_write(options, &mut errors),
    }
    check_dry_run(options, &mut errors);
    if !matches!(request.verb, Verb::Delete | Verb::DeleteCollection) {
        check_field_validation(options, &mut errors);
    }
    invalid(kind, &errors)
}

pub(crate) fn invalid(kind: &str, errors: &FieldErrors) -> Result<(), Status> {
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid("meta.k8s.io", kind, "", errors)) }
}

fn check_write(options: &Options, errors: &mut FieldErrors) {
    const MAX: usize = 128;
    let path = FieldPath::new("fieldManager");
    let manager = &options.field_manager;
    if manager.len() > MAX {
        errors.too_long(&path, MAX);
    }
    for (i, c) in manager.char_indices() {
        if c.is_control() {
            errors.invalid(
                &path,
                manager.as_str(),
                format!("invalid character U+{:04X} (at position {i})", u32::from(c)),
            );
        }
    }
}

fn check_force(options: &Options, patch: PatchType, errors: &mut FieldErrors) {
    if patch == PatchType::Apply {
        if options.field_manager.is_empty() {
            errors.required(&FieldPath::new("fieldManager"), "is required for apply patch");
        }
    } else if options.force.is_some() {
        errors.forbidden(&FieldPath::new("force"), "may not be specified for non-apply patch");
    }
}

fn check_dry_run(options: &Options, errors: &mut FieldErrors) {
    if options.dry_run.iter().any(|value| value != "All") {
        let given: Vec<&str> = options.dry_run.iter().map(String::as_str).collect();
        errors.not_supported(&FieldPath::new("dryRun"), given, &["All"]);
    }
}

fn check_field_validation(options: &Options, errors: &mut FieldErrors) {
    let modes = ["", "Ignore", "Strict", "Warn"];
    if !modes.contains(&options.field_validation.as_str()) {
        let path = FieldPath::new("fieldValidation");
        errors.not_supported(&path, options.field_validation.as_str(), &modes);
    }
}

fn check_delete(options: &Options, errors: &mut FieldErrors) {
    let path = FieldPath::new("propagationPolicy");
    let Some(policy) = &options.propagation_policy else { return };
    if options.orphan_dependents.is_some() {
        errors.invalid(&path, policy.as_str(), "orphanDependents and deletionPropagation cannot be both set");
    }
    if !matches!(policy.as_str(), "Foreground" | "Background" | "Orphan") {
        errors.not_supported(&path, policy.as_str(), &["Foreground", "Background", "Orphan", "nil"]);
    }
}

/// A resourceVersion of list options.
///
/// # Errors
/// 400 when it is not a number.
pub(crate) fn revision(text: &str) -> Result<u64, Status> {
    text.parse()
        .map_err(|why| Status::bad_request(format!("invalid resource version: {}", no_number(text, &why))))
}

/// A resourceVersion of get and watch options.
///
/// # Errors
/// 500, as upstream has it, when it is not a number.
pub(crate) fn revision_of_one(text: &str) -> Result<u64, Status> {
    text.parse().map_err(|why| Status::new(500, Reason::Unknown, no_number(text, &why)))
}

fn no_number(text: &str, why: &std::num::ParseIntError) -> String {
    let why = match why.kind() {
        std::num::IntErrorKind::PosOverflow => "value out of range",
        _ => "invalid syntax",
    };
    format!("resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: {why}")
}

/// The 504 for a revision that the server has not reached.
pub(crate) fn too_large(requested: u64, current: u64) -> Status {
    let message = format!("Timeout: Too large resource version: {requested}, current: {current}");
    Status::new(504, Reason::Timeout, message).with_details(StatusDetails {
        causes: vec![StatusCause {
            reason: "ResourceVersionTooLarge".to_owned(),
            message: "Too large resource version".to_owned(),
            field: String::new(),
        }],
        retry_after_seconds: 1,
        ..StatusDetails::default()
    })
}

/// What resourceVersion, resourceVersionMatch, continue and sendInitialEvents may be together.
///
/// # Errors
/// 422 after `ValidateListOptions`.
pub(crate) fn check_list(options: &Options, watch: bool) -> Result<(), Status> {
    let mut errors = FieldErrors::new();
    if watch {
        check_watch_match(options, &mut errors);
    } else {
        check_list_match(options, &mut errors);
    }
    invalid("ListOptions", &errors)
}

fn check_list_match(options: &Options, errors: &mut FieldErrors) {
    let path = FieldPath::new("resourceVersionMatch");
    let matching = options.resource_version_match.as_str();
    if !matching.is_empty() {
        if options.resource_version.is_empty() {
            errors.forbidden(&path, "resourceVersionMatch is forbidden unless resourceVersion is provided");
        }
        if !options.continue_token.is_empty() {
            errors.forbidden(&path, "resourceVersionMatch is forbidden when continue is provided");
        }
        if !matches!(matching, "Exact" | "NotOlderThan") {
            errors.not_supported(&path, matching, &["Exact", "NotOlderThan", ""]);
        }
        if matching == "Exact" && options.resource_version == "0" {
            errors.forbidden(&path, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
        }
    }
    if options.send_initial_events.is_some() {
        let path = FieldPath::new("sendInitialEvents");
        errors.forbidden(&path, "sendInitialEvents is forbidden for list");
    }
}

fn check_watch_match(options: &Options, errors: &mut FieldErrors) {
    let path = FieldPath::new("resourceVersionMatch");
    let matching = options.resource_version_match.as_str();
    if options.send_initial_events.is_some() {
        if matching != "NotOlderThan" {
            let detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            errors.forbidden(&path, detail);
        }
    } else if !matching.is_empty() {
        let detail = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
        errors.forbidden(&path, detail);
    }
    // A watch from the beginning is one for initial events, whether or not it says so.
    let implied =
        options.send_initial_events.is_none() && matches!(options.resource_version.as_str(), "" | "0");
    if matching.is_empty() && !implied {
        return;
    }
    if !matching.is_empty() && matching != "NotOlderThan" {
        errors.not_supported(&path, matching, &["NotOlderThan"]);
    }
    if !options.continue_token.is_empty() {
        errors.forbidden(&path, "resourceVersionMatch is forbidden when continue is provided");
    }
}
